//! What a script of the operator's is given with a job: collected from an upload, checked, kept beside its files.

use std::collections::BTreeMap;
use std::path::Path;

use domain::ServiceName;
use store::JobRow;

use super::accept::AcceptError;
use crate::config::settings::{MOST_BYTES, MOST_PARAMETERS, Misfit, OwnScript, PART_PREFIX, Wrong};
use crate::files::names::{PARAMETERS, RelativePath};
use crate::files::upload::Payload;
use crate::protocol::{PARAMETERS_FILE, Parameters};
use crate::server::parts::Parts;

/// What is run.
pub(super) const SCRIPT: &str = "run.sh";
/// Names in the job's directory that are the operator's, where the script is.
const TAKEN: [&str; 2] = [SCRIPT, PARAMETERS_FILE];
/// What the operator's script adds to a payload: no part of what its caller handed in.
pub(super) const NOT_HANDED_IN: &[&str] = &[SCRIPT, PARAMETERS];
/// Of one value in an upload, in bytes: more than any that is taken, so that a long one is told of with the others.
pub(super) const MOST_VALUE: usize = 128 * 1024;
/// Of a name that is repeated back, in characters.
const NAME_SHOWN: usize = 80;

/// The values in an upload, by the names of their parameters. At most as much is kept as some script could be given.
#[derive(Default)]
pub(super) struct Given {
    values: BTreeMap<String, String>,
    bytes: usize,
}

impl Given {
    /// Whether a field of an upload belongs here.
    pub(super) fn has(field: &str) -> bool {
        field.starts_with(PART_PREFIX)
    }

    pub(super) fn take(&mut self, field: &str, text: String) -> Result<(), AcceptError> {
        let name = field.strip_prefix(PART_PREFIX).unwrap_or(field);
        self.bytes += text.len();
        if self.bytes > MOST_BYTES || self.values.len() >= MOST_PARAMETERS {
            return Err(AcceptError::Misfits { misfits: vec![Misfit::too_much()] });
        }
        if self.values.contains_key(name) {
            let wrong = Wrong::new("it is given twice", "give it once");
            return Err(AcceptError::Misfits { misfits: vec![Misfit { field: shown(field), value: text, wrong }] });
        }
        self.values.insert(name.chars().take(NAME_SHOWN).collect(), text);
        Ok(())
    }

    /// What was given, in a form that is kept: see `accept::content_of`.
    pub(super) fn content(&self) -> Option<String> {
        if self.values.is_empty() { None } else { serde_json::to_string(&self.values).ok() }
    }

    /// The values for the script.
    pub(super) fn values(&self, script: &OwnScript, payload: &Payload) -> Result<Parameters, AcceptError> {
        let own = TAKEN.into_iter().filter(|name| payload.has(name)).map(|name| Misfit {
            field: "file".to_owned(),
            value: name.to_owned(),
            wrong: Wrong::new(
                format!("the service has its own {name}"),
                "send the inputs only; the script is the operator's, and takes its values as parts named param.NAME",
            ),
        });
        let mut misfits: Vec<Misfit> = own.collect();
        match script.values(&self.values, |name| payload.has(name)) {
            Ok(values) if misfits.is_empty() => return Ok(values),
            Ok(_) => {}
            Err(more) => misfits.extend(more),
        }
        Err(AcceptError::Misfits { misfits })
    }

    /// A service whose users send their own scripts takes no values.
    pub(super) fn refuse(&self, service: &ServiceName) -> Result<(), AcceptError> {
        let misfit = |(name, value): (&String, &String)| Misfit {
            field: format!("{PART_PREFIX}{name}"),
            value: value.clone(),
            wrong: Wrong::new(
                format!("service {service} has no script of its own that would take it"),
                "leave it out, and have your run.sh know the value or read it from a file",
            ),
        };
        let misfits: Vec<Misfit> = self.values.iter().map(misfit).collect();
        if misfits.is_empty() { Ok(()) } else { Err(AcceptError::Misfits { misfits }) }
    }
}

fn shown(field: &str) -> String {
    field.chars().take(NAME_SHOWN).collect()
}

/// Adds the operator's script, and its values where it has any, to what was uploaded.
pub(super) fn add(payload: &mut Payload, script: &OwnScript, values: &Parameters) -> Result<(), AcceptError> {
    payload.add(RelativePath::ours(SCRIPT), script.text.to_vec())?;
    if !script.parameters.is_empty() {
        let json = serde_json::to_vec(values).map_err(|error| AcceptError::Values(error.into()))?;
        payload.add(RelativePath::ours(PARAMETERS), json)?;
    }
    Ok(())
}

/// The values that a job was accepted with, while its files are there and its service has a script. A service without
/// one costs no look at the disk.
pub(super) async fn kept(parts: &Parts, job: &JobRow) -> Option<Parameters> {
    parts.services.get(&job.request.service)?.script.as_ref()?;
    read(&parts.places.payload(job.payload.as_str())).await
}

async fn read(payload: &Path) -> Option<Parameters> {
    let json = tokio::fs::read(payload.join(PARAMETERS)).await.ok()?;
    serde_json::from_slice(&json).ok()
}
