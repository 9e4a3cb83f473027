//! The keys of `[pool.NAME]`, of its types and of its template. They are in the file only.

/// What its instances may be given work of: names of services.
pub const SERVICES: &str = "services";
/// Who makes its instances: `ec2` or `process`.
pub const PROVIDER: &str = "provider";
/// Slots of one instance, where its type does not say otherwise.
pub const SLOTS: &str = "slots";
/// Instances at most; 0 means none.
pub const MAX: &str = "max";
pub const IDLE: &str = "idle_seconds";
pub const COOLDOWN_UP: &str = "cooldown_up_seconds";
pub const COOLDOWN_DOWN: &str = "cooldown_down_seconds";
pub const MINIMUM_LIFE: &str = "minimum_life_seconds";
pub const BOOT_TIMEOUT: &str = "boot_timeout_seconds";
pub const NO_CAPACITY: &str = "no_capacity_seconds";
pub const MAX_COST_PER_HOUR: &str = "max_cost_per_hour";
pub const MAX_COST_PER_MONTH: &str = "max_cost_per_month";
/// Shell, run as root before the client starts.
pub const SETUP: &str = "setup";
/// Shell, which has to succeed before the client registers.
pub const READY_COMMAND: &str = "ready_command";
/// In the order of preference.
pub const TYPES: &str = "instance_types";

/// Only for `ec2`. In the order of preference; one of the two.
pub const ZONES: &str = "zones";
pub const SUBNETS: &str = "subnets";
/// `spot` or `on-demand`.
pub const LIFECYCLE: &str = "lifecycle";
pub const IMAGE: &str = "image";
pub const SECURITY_GROUPS: &str = "security_groups";
pub const KEY_NAME: &str = "key_name";
pub const PROFILE: &str = "profile";
pub const TEMPLATE: &str = "launch_template";

pub const ONLY_EC2: [&str; 8] = [ZONES, SUBNETS, LIFECYCLE, IMAGE, SECURITY_GROUPS, KEY_NAME, PROFILE, TEMPLATE];
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
    MAX_COST_PER_HOUR,
    MAX_COST_PER_MONTH,
    SETUP,
    READY_COMMAND,
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

/// The keys of one of the types.
pub mod of_type {
    pub const TYPE: &str = "type";
    /// In whatever currency all prices are.
    pub const PRICE: &str = "price_per_hour";
    /// What is paid for it as spot; the other price without it.
    pub const SPOT_PRICE: &str = "spot_price_per_hour";
    pub const SLOTS: &str = "slots";
    /// What an instance of it has, until one has reported.
    pub const LABELS: &str = "labels";

    pub const IN_FILE: [&str; 5] = [TYPE, PRICE, SPOT_PRICE, SLOTS, LABELS];
}

/// The keys of a launch template.
pub mod template {
    /// One of the two.
    pub const ID: &str = "id";
    pub const NAME: &str = "name";
    /// A number, `$Latest` or `$Default`, which it is without one.
    pub const VERSION: &str = "version";

    pub const IN_FILE: [&str; 3] = [ID, NAME, VERSION];
}
