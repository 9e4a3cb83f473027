//! How a policy comes into force: compile, check, configure, rehearse, commit. A failed step leaves all as it was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::policy::{Digest, Settings};
use domain::schedule::ScheduleSettings;
use domain::schedule::snapshot::Snapshot;
use store::StoreError;
use store::policies::{Chosen, Scope};

use super::in_force::InForce;
use super::journal::RingError;
use super::library::Library;
use super::rehearsal::{Rehearsal, rehearse};
use super::seat::Seat;

/// What somebody wants for a scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    pub scope: Scope,
    /// `None`: no choice any more.
    pub policy: Option<Wanted>,
}

/// A component that is here, with settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub digest: Digest,
    pub settings: Settings,
}

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Compile,
    Check,
    Configure,
    Rehearse,
    Commit,
}

impl Step {
    /// The word that logs, JSON and the command line use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compile => "compile",
            Self::Check => "check",
            Self::Configure => "configure",
            Self::Rehearse => "rehearse",
            Self::Commit => "commit",
        }
    }
}

/// A step that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepDone {
    pub scope: Scope,
    pub step: Step,
    pub took: Duration,
    /// For people; may be empty.
    pub note: String,
}

/// What became of a request that nothing stood in the way of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// In force now.
    pub generation: u64,
    /// Something is otherwise than before.
    pub changed: bool,
    pub steps: Vec<StepDone>,
    /// Of each scope that got a policy.
    pub rehearsals: Vec<(Scope, Rehearsal)>,
}

/// The step that failed, after those that went well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{scope}: {}: {why}", .step.as_str())]
pub struct Refusal {
    pub scope: Scope,
    pub step: Step,
    pub why: String,
}

/// Why nothing came into force.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("somebody else was first: generation {generation} is in force")]
    Conflict { generation: u64 },
    #[error("the database does not take it")]
    Store(#[from] StoreError),
    #[error("the decision log cannot be read")]
    Log(#[source] RingError),
    #[error("the server is stopping")]
    Stopping,
    #[error("there is nothing to go back to for {0}")]
    NothingBefore(Scope),
}

/// What a rehearsal is made with.
pub(super) struct Stage {
    pub in_force: Arc<InForce>,
    pub snapshots: Vec<Snapshot>,
    pub settings: ScheduleSettings,
}

/// One scope's way through the steps before the commit.
pub(super) struct Preparation<'a> {
    library: &'a Library,
    scope: &'a Scope,
    steps: Vec<StepDone>,
}

/// A policy that could come into force.
pub(super) struct Prepared {
    pub seat: Arc<Seat>,
    pub steps: Vec<StepDone>,
    pub rehearsal: Rehearsal,
}

impl<'a> Preparation<'a> {
    pub(super) fn new(library: &'a Library, scope: &'a Scope) -> Self {
        Self { library, scope, steps: Vec::new() }
    }

    pub(super) async fn prepare(mut self, wanted: &Wanted, stage: Stage) -> Result<Prepared, Refusal> {
        let begun = Instant::now();
        let component = self.library.load(wanted.digest).await.map_err(|error| self.refused(Step::Compile, &error))?;
        self.done(Step::Compile, begun, String::new());

        let begun = Instant::now();
        if component.kind() != self.scope.kind {
            let why = format!("it is a {} policy", component.kind());
            return Err(Refusal { scope: self.scope.clone(), step: Step::Check, why });
        }
        self.done(Step::Check, begun, String::new());

        let begun = Instant::now();
        let policy = component.configure(&wanted.settings).map_err(|error| self.refused(Step::Configure, &error))?;
        let name = policy.description().name.clone();
        let note = format!("{name} {}", policy.description().version);
        self.done(Step::Configure, begun, note);

        let begun = Instant::now();
        let chosen = Chosen { name, digest: wanted.digest, settings: wanted.settings.clone() };
        let seat = Arc::new(Seat::new(self.scope.clone(), chosen, Ok(Arc::new(policy)), None));
        let rehearsal = on_stage(stage, seat.tried_for(self.scope.clone())).await;
        let rehearsal = rehearsal.map_err(|why| Refusal { scope: self.scope.clone(), step: Step::Rehearse, why })?;
        let note = format!(
            "{} scenarios, {} real decisions, {} of them otherwise than now",
            rehearsal.scenarios, rehearsal.decisions, rehearsal.differing
        );
        self.done(Step::Rehearse, begun, note);
        Ok(Prepared { seat, steps: self.steps, rehearsal })
    }

    fn done(&mut self, step: Step, begun: Instant, note: String) {
        self.steps.push(StepDone { scope: self.scope.clone(), step, took: begun.elapsed(), note });
    }

    fn refused(&self, step: Step, error: &(dyn std::error::Error + 'static)) -> Refusal {
        Refusal { scope: self.scope.clone(), step, why: crate::runtime::chain(error) }
    }
}

/// Decisions on many snapshots take long: off the threads that others need.
async fn on_stage(stage: Stage, candidate: Seat) -> Result<Rehearsal, String> {
    let work = move || rehearse(&stage.in_force, &Arc::new(candidate), &stage.snapshots, stage.settings);
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err("the server is stopping".to_owned()))
}
