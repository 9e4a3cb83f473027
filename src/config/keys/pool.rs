//! The keys of `[pool.NAME]`, of the tables in its `instance_types`, and of `[provider.ec2]`.

pub const SERVICES: &str = "services";
/// Who makes its instances: `ec2` or `process`.
pub const PROVIDER: &str = "provider";
/// Jobs of one slot at once on an instance; a type may say otherwise.
pub const SLOTS: &str = "slots";
/// Instances at most; 0 means none.
pub const MAX: &str = "max";
pub const IDLE: &str = "idle_seconds";
pub const COOLDOWN_UP: &str = "cooldown_up_seconds";
pub const COOLDOWN_DOWN: &str = "cooldown_down_seconds";
pub const MINIMUM_LIFE: &str = "minimum_life_seconds";
pub const BOOT_TIMEOUT: &str = "boot_timeout_seconds";
/// How long it is remembered that a type was not to be had.
pub const NO_CAPACITY: &str = "no_capacity_seconds";
/// In the currency of the prices.
pub const COST_PER_HOUR: &str = "max_cost_per_hour";
pub const COST_PER_MONTH: &str = "max_cost_per_month";
/// A script that an instance runs as root before its client starts.
pub const SETUP: &str = "setup";
/// A script that has to succeed before the client registers.
pub const READY: &str = "ready_command";
/// In the order of preference.
pub const TYPES: &str = "instance_types";
/// In the order of preference; either of the two.
pub const ZONES: &str = "zones";
pub const SUBNETS: &str = "subnets";
/// `spot` or `on-demand`.
pub const LIFECYCLE: &str = "lifecycle";
/// An AMI.
pub const IMAGE: &str = "image";
pub const SECURITY_GROUPS: &str = "security_groups";
pub const KEY_NAME: &str = "key_name";
/// An IAM instance profile.
pub const PROFILE: &str = "profile";
/// `{ id | name, version }`.
pub const TEMPLATE: &str = "launch_template";

pub const IN_FILE: [&str; 23] = [
    SERVICES,
    PROVIDER,
    SLOTS,
    MAX,
    IDLE,
    COOLDOWN_UP,
    COOLDOWN_DOWN,
    MINIMUM_LIFE,
    BOOT_TIMEOUT,
    NO_CAPACITY,
    COST_PER_HOUR,
    COST_PER_MONTH,
    SETUP,
    READY,
    TYPES,
    ZONES,
    SUBNETS,
    LIFECYCLE,
    IMAGE,
    SECURITY_GROUPS,
    KEY_NAME,
    PROFILE,
    TEMPLATE,
];
/// Those that only a provider of machines has a use for.
pub const OF_EC2: [&str; 9] = [ZONES, SUBNETS, LIFECYCLE, IMAGE, SECURITY_GROUPS, KEY_NAME, PROFILE, TEMPLATE, SETUP];

/// Of one type.
pub mod of_type {
    pub const TYPE: &str = "type";
    pub const PRICE: &str = "price_per_hour";
    pub const SPOT_PRICE: &str = "spot_price_per_hour";
    pub const SLOTS: &str = "slots";
    pub const LABELS: &str = "labels";
    pub const ALL: [&str; 5] = [TYPE, PRICE, SPOT_PRICE, SLOTS, LABELS];
}

/// Of a launch template.
pub mod template {
    pub const ID: &str = "id";
    pub const NAME: &str = "name";
    pub const VERSION: &str = "version";
    pub const ALL: [&str; 3] = [ID, NAME, VERSION];
}

/// Of `[provider.ec2]`.
pub mod ec2 {
    pub const REGION: &str = "region";
    pub const ENDPOINT: &str = "endpoint";
    pub const ALL: [&str; 2] = [REGION, ENDPOINT];
}
