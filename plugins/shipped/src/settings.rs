//! Settings and descriptions.

use std::time::Duration;

use domain::policy::{Settings, Value, description};
use policy_sdk as sdk;

pub(crate) fn to_domain(settings: &sdk::Settings) -> Settings {
    Settings(settings.iter().map(|(name, value)| (name.to_owned(), value_to_domain(value))).collect())
}

fn value_to_domain(value: &sdk::Value) -> Value {
    match value {
        sdk::Value::Flag(flag) => Value::Flag(*flag),
        sdk::Value::Whole(number) => Value::Whole(*number),
        sdk::Value::Number(number) => Value::Number(*number),
        sdk::Value::Text(text) => Value::Text(text.clone()),
    }
}

pub(crate) fn description_to_sdk(description: description::Description) -> sdk::Description {
    sdk::Description {
        name: description.name.into(),
        version: description.version,
        summary: description.summary,
        settings: description.settings.into_iter().map(setting_to_sdk).collect(),
        usage_half_life: description.usage_half_life.as_ref().map(Duration::as_secs_f64),
    }
}

fn setting_to_sdk(setting: description::SettingDoc) -> sdk::SettingDoc {
    let default = match setting.default {
        Value::Flag(flag) => sdk::Value::Flag(flag),
        Value::Whole(number) => sdk::Value::Whole(number),
        Value::Number(number) => sdk::Value::Number(number),
        Value::Text(text) => sdk::Value::Text(text),
    };
    sdk::SettingDoc { name: setting.name, default, doc: setting.doc }
}
