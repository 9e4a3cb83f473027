//! Accepting a job: its files are on the disk and its row is committed before anybody hears of its id.

use domain::schedule::snapshot::Shape;
use domain::{ClientState, IdempotencyKey, JobId, JobRequest, ServiceName, UserId};
use store::{ContentDigestError, HandIn, NewJob, PayloadKey, PayloadKeyError, StoreError};

use super::fields::{Fields, Said};
use super::parameters::{self, Given, MOST_VALUE, NOT_HANDED_IN};
use crate::config::settings::{Misfit, PART_PREFIX};
use crate::files::digest;
use crate::files::upload::{Part, Payload, Upload, UploadError};
use crate::runtime::OnEnd;
use crate::runtime::crash::CrashPoint;
use crate::server::operations::storage::Arrival;
use crate::server::parts::Parts;

/// Why an upload was not accepted. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The upload itself: cut, too large, a hostile name, no room.
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error("the field `{field}` is missing")]
    Missing { field: &'static str, remedy: &'static str },
    #[error("the field `{field}` is wrong: {why}")]
    Field { field: &'static str, value: String, why: String, remedy: String },
    #[error("the upload does not fit its service: {}", told(misfits))]
    Misfits { misfits: Vec<Misfit> },
    #[error("the upload has no file")]
    NoFile,
    #[error("no client of service `{service}` could ever run this job: {wanted}")]
    NeverFits { service: ServiceName, wanted: String },
    #[error("job {job} was handed in under the idempotency key `{key}`, and it was another one")]
    KeyTaken { key: IdempotencyKey, job: JobId },
    #[error("what was handed in cannot be read again")]
    Digest(#[source] std::io::Error),
    #[error("the values for the script cannot be written")]
    Values(#[source] std::io::Error),
    #[error("the digest of what was handed in is none")]
    NoDigest(#[from] ContentDigestError),
    #[error("the job cannot be recorded")]
    Store(#[from] StoreError),
    #[error("no random source for the payload's name")]
    Random(#[from] getrandom::Error),
    #[error("the payload's name is none")]
    Key(#[from] PayloadKeyError),
    /// Accepting broke off for a reason that the log tells.
    #[error("accepting the job broke off")]
    BrokenOff,
}

fn told(misfits: &[Misfit]) -> String {
    let told = misfits.iter().map(|misfit| format!("{} ({})", misfit.field, misfit.wrong.why));
    told.collect::<Vec<_>>().join(", ")
}

/// A job that is durable: now, or since it was handed in under the same key before.
pub struct Accepted {
    pub id: JobId,
    pub user: UserId,
    pub service: ServiceName,
}

/// Reads the upload to its end, then makes the job durable, also when the caller is gone by then. `service` is the one that
/// the call's address names, if it does.
///
/// # Errors
/// See [`AcceptError`].
pub async fn accept(parts: &Parts, upload: Upload, service: Option<String>) -> Result<Accepted, AcceptError> {
    let mut upload = upload.with_longer(PART_PREFIX, MOST_VALUE);
    // Before its directory is there, so that the sweep never takes that for an orphan.
    let arrival = parts.in_flight.begin(random_key()?);
    let key = arrival.key().as_str();
    let mut payload = Payload::durable(&parts.places.payload_parent(key), key);
    let mut fields = Fields::of(service);
    while let Some(part) = upload.next().await? {
        match part {
            Part::Field { name, text } => fields.take(&name, text)?,
            Part::File(file) => {
                if let Err(error) = payload.receive(file).await {
                    upload.drain_after(&error).await;
                    return Err(error.into());
                }
            }
        }
    }
    let Said { request, key, parameters } = fields.read(parts)?;
    let not_handed_in = fit(parts, &request, &parameters, &mut payload)?;
    could_ever_fit(parts, &request)?;
    let idempotency = key.map(|key| Idempotency { key, content: content_of(&request, &parameters), not_handed_in });
    let task = Finish { parts: parts.clone(), payload, arrival, request, idempotency }.run();
    let accepted = parts.tasks.spawn("accept", OnEnd::Done, task).await;
    accepted.ok().flatten().unwrap_or(Err(AcceptError::BrokenOff))
}

/// Holds an upload against its service, and adds what is the service's own: the names of that at its top.
fn fit(
    parts: &Parts,
    request: &JobRequest,
    parameters: &Given,
    payload: &mut Payload,
) -> Result<&'static [&'static str], AcceptError> {
    if let Some(script) = parts.services.get(&request.service).and_then(|service| service.script.as_ref()) {
        let values = parameters.values(script, payload)?;
        parameters::add(payload, script, &values)?;
        return Ok(NOT_HANDED_IN);
    }
    parameters.refuse(&request.service)?;
    if payload.files() == 0 {
        return Err(AcceptError::NoFile);
    }
    Ok(&[])
}

/// An upload whose last byte is in.
struct Finish {
    parts: Parts,
    payload: Payload,
    arrival: Arrival,
    request: JobRequest,
    idempotency: Option<Idempotency>,
}

/// A caller's key, and what tells a repeat from something else.
struct Idempotency {
    key: IdempotencyKey,
    /// Beside the files.
    content: String,
    /// Names at the payload's top that are not the caller's.
    not_handed_in: &'static [&'static str],
}

impl Finish {
    async fn run(self) -> Result<Accepted, AcceptError> {
        let Self { parts, payload, arrival, request, idempotency } = self;
        CrashPoint::UploadWritten.passed();
        let directory = payload.directory().to_owned();
        let stored = payload.finish().await?;
        CrashPoint::UploadDurable.passed();
        let hand_in = match idempotency {
            Some(Idempotency { key, content, not_handed_in }) => {
                let digest = digest::of_tree(directory, content, not_handed_in).await.map_err(AcceptError::Digest)?;
                Some(HandIn { key, digest: digest.parse()? })
            }
            None => None,
        };
        let (user, service) = (request.user, request.service.clone());
        let payload = arrival.key().clone();
        let new = NewJob { request, payload, payload_bytes: stored.bytes(), hand_in: hand_in.clone() };
        let accepted = match parts.store.accept(new).await {
            Ok(accepted) => accepted,
            Err(error) => {
                if error.may_be_written() {
                    // A row may need the files. If there is none, the next sweep removes them.
                    stored.keep();
                }
                return Err(error.into());
            }
        };
        let id = match (accepted, hand_in) {
            (store::Accepted::New(id), _) => {
                CrashPoint::JobCommitted.passed();
                stored.keep();
                parts.wakes.dispatch.wake();
                id
            }
            (store::Accepted::OtherContent(job), Some(HandIn { key, .. })) => {
                return Err(AcceptError::KeyTaken { key, job });
            }
            (store::Accepted::Known(id) | store::Accepted::OtherContent(id), _) => id,
        };
        Ok(Accepted { id, user, service })
    }
}

/// What a caller asked for beside the files, in a form that is kept: the same request must read the same in every later
/// version, or a repeat would be taken for something else. What is added later goes behind, and only where it was given.
fn content_of(request: &JobRequest, parameters: &Given) -> String {
    let JobRequest { user, service, slots, priority, requires, labels, walltime } = request;
    let walltime = walltime.map_or_else(String::new, |walltime| format!(" walltime={}", walltime.seconds()));
    let slots = slots.get();
    // As the caller wrote them: what is filled in, and the script, may be others by the time of a repeat.
    let parameters = parameters.content().map_or_else(String::new, |content| format!(" parameters={content}"));
    format!(
        "user={user} service={service} slots={slots} priority={priority} requires={requires} labels={labels}{walltime}\
         {parameters}"
    )
}

/// The name of a payload's directory: 128 random bits, so that no upload meets another's files.
fn random_key() -> Result<PayloadKey, AcceptError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)).parse()?)
}

/// A job is refused only if every client of its service was heard of and none could ever take it; else it waits, and
/// says why.
fn could_ever_fit(parts: &Parts, request: &JobRequest) -> Result<(), AcceptError> {
    let clients: Vec<_> = parts
        .store
        .clients()
        .into_iter()
        .map(|view| view.record)
        .filter(|client| client.state != ClientState::Gone && client.services.contains(&request.service))
        .collect();
    let fits = |client: &domain::ClientRecord| {
        client.slots >= request.slots.get() && request.requires.hold_for(&client.labels)
    };
    let unheard = |client: &domain::ClientRecord| client.slots == 0;
    if clients.is_empty() || clients.iter().any(|client| unheard(client) || fits(client)) || fits_a_pool(parts, request)
    {
        return Ok(());
    }
    let mut wanted = vec![format!("slots = {}", request.slots.get())];
    if !request.requires.is_empty() {
        wanted.push(format!("requires = {}", request.requires));
    }
    let wanted = wanted.join(", ");
    Err(AcceptError::NeverFits { service: request.service.clone(), wanted })
}

/// Whether an instance that could be launched would take it.
fn fits_a_pool(parts: &Parts, request: &JobRequest) -> bool {
    let shape = Shape { slots: request.slots, requires: request.requires.clone() };
    let pools = parts.settings.scaling.pools.iter().map(|pool| &pool.settings);
    let mut serving = pools.filter(|pool| pool.services.contains(&request.service));
    serving.any(|pool| {
        let learnt = parts.store.pools().learnt(&pool.name);
        pool.types.iter().any(|of_type| learnt.memory.offer(of_type).takes(&shape))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it is in databases out there.
    #[test]
    fn a_request_reads_the_same_in_every_version() {
        let request = JobRequest {
            user: 7.try_into().unwrap(),
            service: "example".parse().unwrap(),
            slots: domain::Slots::ONE,
            priority: -3,
            requires: "gpu,memory_gb>=16".parse().unwrap(),
            labels: "run=7".parse().unwrap(),
            walltime: None,
        };
        let kept = "user=7 service=example slots=1 priority=-3 requires=gpu,memory_gb>=16 labels=run=7";
        let mut given = Given::default();
        assert_eq!(content_of(&request, &given), kept);
        let request = JobRequest { walltime: Some(60.try_into().unwrap()), ..request };
        assert_eq!(content_of(&request, &given), format!("{kept} walltime=60"));
        given.take("param.note", "a \"b\"".to_owned()).unwrap();
        given.take("param.count", "05".to_owned()).unwrap();
        let parameters = r#"{"count":"05","note":"a \"b\""}"#;
        assert_eq!(content_of(&request, &given), format!("{kept} walltime=60 parameters={parameters}"));
    }
}
