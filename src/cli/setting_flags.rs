//! The settings as flags: made from the table in `config::keys`, so that flags, help and environment cannot differ.

use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::config::Flags;
use crate::config::keys::{self, Key, Kind, Mode};

/// The flags of one mode's settings, as texts: `config` checks them together with the other layers.
#[derive(Debug, Clone)]
pub struct SettingFlags<M> {
    pub flags: Flags,
    mode: PhantomData<M>,
}

/// Whose settings they are.
pub trait OfMode {
    const MODE: &'static Mode;

    /// Whether a setting has a flag here; without one it still comes from the environment and the file.
    fn has_flag(_key: &Key) -> bool {
        true
    }
}

#[derive(Debug, Clone)]
pub struct Server;
#[derive(Debug, Clone)]
pub struct Client;
/// Commands that work on the server's files.
#[derive(Debug, Clone)]
pub struct Storage;

pub type ServerFlags = SettingFlags<Server>;
pub type ClientFlags = SettingFlags<Client>;
pub type StorageFlags = SettingFlags<Storage>;

impl OfMode for Server {
    const MODE: &'static Mode = keys::SERVER;
}

impl OfMode for Client {
    const MODE: &'static Mode = keys::CLIENT;
}

impl OfMode for Storage {
    const MODE: &'static Mode = keys::SERVER;

    fn has_flag(key: &Key) -> bool {
        matches!(key.name, "data_dir" | "db_path" | "log" | "log_format")
    }
}

/// The settings that have flags.
fn flagged<M: OfMode>() -> impl Iterator<Item = &'static Key> {
    M::MODE.keys.iter().filter(|key| M::has_flag(key))
}

impl<M: OfMode> Args for SettingFlags<M> {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(keys::CONFIG_FLAG)
            .long(keys::CONFIG_FLAG)
            .value_name("FILE")
            .help(format!("The TOML file with settings and services [env: {}]", keys::CONFIG_VARIABLE));
        command.arg(config).args(flagged::<M>().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<M: OfMode> FromArgMatches for SettingFlags<M> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Flags::new(matches.get_one::<String>(keys::CONFIG_FLAG).cloned());
        for key in flagged::<M>() {
            if let Some(text) = text(matches, key) {
                flags.set(key, text);
            }
        }
        Ok(Self { flags, mode: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flag(key: &Key) -> Arg {
    let default = match (key.kind, key.default) {
        (Kind::Switch, _) | (_, "") => String::new(),
        (_, default) => format!(" [default: {default}]"),
    };
    let help = format!("{}{default} [env: {}]", key.help, key.variables.join(", "));
    let arg = Arg::new(key.name).long(key.flag).help(help);
    match key.kind {
        Kind::Switch => arg.action(ArgAction::SetTrue),
        Kind::Labels => arg.action(ArgAction::Append).value_name(key.value_name),
        Kind::Text | Kind::Number | Kind::Decimal => arg.value_name(key.value_name),
    }
}

fn text(matches: &ArgMatches, key: &Key) -> Option<String> {
    match key.kind {
        Kind::Switch => matches.get_flag(key.name).then(|| "true".to_owned()),
        Kind::Labels => {
            let given: Vec<&str> = matches.get_many::<String>(key.name)?.map(String::as_str).collect();
            Some(given.join(","))
        }
        Kind::Text | Kind::Number | Kind::Decimal => matches.get_one::<String>(key.name).cloned(),
    }
}
