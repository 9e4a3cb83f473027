//! Changes what is in force, and keeps the account of it.
//!
//! The database decides; what is here is made from it. One change at a time goes through its steps, is committed, and is
//! then exchanged for what was in force as a whole. A decision that began before ends with what it began with.

use std::sync::{Arc, PoisonError, RwLock};

use domain::ServiceName;
use domain::schedule::snapshot::Snapshot;
use domain::schedule::{Decision, ScheduleSettings, decide};
use store::policies::{Activated, Choice, Chosen, PoliciesInForce, Request, Scope, Source};
use store::{Store, StoreError};

use super::activation::{ActivateError, Done, Preparation, Prepared, Refusal, Stage, Step, StepDone, Wanted, Wish};
use super::deciding::{Asked, Deciding};
use super::events::Events;
use super::in_force::InForce;
use super::journal::{Journal, Ring, RingError};
use super::library::Library;
use super::replay::{Replay, replay};
use super::seat::Seat;
use super::shadow::Shadow;
use super::turns::Turns;
use crate::runtime::Wake;

/// Logged inputs that a candidate is tried on.
const LOGGED_INPUTS: usize = 20;

pub struct Registry {
    pub library: Library,
    pub journal: Journal,
    pub shadow: Shadow,
    pub events: Events,
    pub turns: Turns,
    store: Store,
    services: Vec<ServiceName>,
    settings: ScheduleSettings,
    dispatch: Wake,
    in_force: RwLock<Arc<InForce>>,
    /// Held over a whole change.
    changing: tokio::sync::Mutex<()>,
}

/// A decision, and how it came about.
#[derive(Debug)]
pub struct Decided {
    pub decision: Decision,
    pub asked: Vec<Asked>,
}

/// What a registry is made of, beside the database.
pub struct RegistryParts {
    pub library: Library,
    pub journal: Journal,
    pub services: Vec<ServiceName>,
    pub settings: ScheduleSettings,
    pub dispatch: Wake,
}

impl Registry {
    /// With what the database says. A component that does not load any more stays chosen, visibly, and the built-in
    /// policy stands in for it.
    pub async fn open(store: Store, parts: RegistryParts) -> Self {
        let RegistryParts { library, journal, services, settings, dispatch } = parts;
        let rows = store.policies();
        let (in_force, broken) = InForce::load(&library, &rows, &[], None).await;
        let registry = Self {
            library,
            journal,
            shadow: Shadow::default(),
            events: Events::default(),
            turns: Turns::default(),
            store,
            services,
            settings,
            dispatch,
            in_force: RwLock::new(Arc::new(in_force)),
            changing: tokio::sync::Mutex::default(),
        };
        for (scope, why) in broken {
            registry.events.tell(String::new(), Some(scope), "broken", false, why);
        }
        registry.keep_usage(&registry.in_force()).await;
        registry
    }

    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Decides by what is in force now, on the calling thread.
    #[must_use]
    pub fn decide(&self, snapshot: Snapshot) -> Decided {
        let in_force = self.in_force();
        let deciding = Deciding::new(&in_force);
        let decision = decide(&snapshot, &deciding, self.settings);
        self.turns.passed();
        let asked = deciding.into_asked();
        if !asked.is_empty() {
            self.shadow.note(&in_force, &snapshot, &decision);
            self.journal.note(in_force.generation, snapshot, &decision, &asked);
        }
        Decided { decision, asked }
    }

    /// Asks what is in force now whatever `work` wants to know, on the calling thread.
    pub fn consult<T>(&self, work: impl FnOnce(&Deciding<'_>) -> T) -> (T, Vec<Asked>) {
        let in_force = self.in_force();
        let deciding = Deciding::new(&in_force);
        let answer = work(&deciding);
        (answer, deciding.into_asked())
    }

    /// Takes down how the policies did, and stops asking one that failed too often.
    ///
    /// # Errors
    /// The database does not take that a policy is not asked any more; it is not asked all the same.
    pub async fn settle(&self, asked: &[Asked]) -> Result<(), StoreError> {
        for Asked { seat, fault, .. } in asked {
            let pinned = seat.note(fault.as_ref());
            if let Some(fault) = fault {
                self.events.tell(
                    String::new(),
                    Some(seat.scope.clone()),
                    "fault",
                    false,
                    format!("{}: {fault}", seat.author()),
                );
            }
            if let Some(fault) = pinned {
                let text = format!("{} is not asked any more until an operator acts: {fault}", seat.author());
                self.events.tell(String::new(), Some(seat.scope.clone()), "pinned", false, text);
                self.store.pin(seat.scope.clone(), seat.chosen.digest, fault).await?;
            }
        }
        Ok(())
    }

    /// Writes down what was decided since the last time, and asks the shadow about it.
    ///
    /// # Errors
    /// The disk does not take the entries; they are gone.
    pub fn keep_account(&self, ring: &mut Ring) -> Result<(), RingError> {
        let (entries, lost) = self.journal.take_pending();
        if lost > 0 {
            tracing::warn!(lost, "decisions came faster than they could be written down");
        }
        while self.shadow.ask(self.settings) {}
        if entries.is_empty() { Ok(()) } else { ring.add(&entries) }
    }

    /// Tries policies without effect.
    ///
    /// # Errors
    /// The step that failed.
    pub async fn rehearse(&self, scope: &Scope, wanted: &Wanted) -> Result<Done, ActivateError> {
        let Prepared { steps, rehearsal, .. } = self.prepare(scope, wanted).await?;
        let generation = self.in_force().generation;
        Ok(Done { generation, changed: false, steps, rehearsals: vec![(scope.clone(), rehearsal)] })
    }

    /// Runs a candidate beside what is in force, from now on; or none.
    ///
    /// # Errors
    /// The step that failed.
    pub async fn watch(&self, candidate: Option<(Scope, Wanted)>) -> Result<(), ActivateError> {
        let seat = match candidate {
            Some((scope, wanted)) => Some(self.prepare(&scope, &wanted).await?.seat),
            None => None,
        };
        self.shadow.watch(seat);
        Ok(())
    }

    /// Asks a candidate about every logged decision.
    ///
    /// # Errors
    /// It is no policy for this scope, or the log cannot be read.
    pub async fn replay(&self, scope: &Scope, wanted: &Wanted) -> Result<Replay, ActivateError> {
        let candidate = self.prepare(scope, wanted).await?.seat;
        let (in_force, directory, settings) = (self.in_force(), self.journal.directory().to_owned(), self.settings);
        let work = move || replay(&directory, &in_force, &candidate, settings);
        let replayed = tokio::task::spawn_blocking(work).await.map_err(|_| ActivateError::Stopping)?;
        replayed.map_err(ActivateError::Log)
    }

    /// Brings policies into force together or not at all. `expected` is the generation that the asker saw.
    ///
    /// # Errors
    /// A step failed, or somebody else was first; then all is as it was.
    pub async fn activate(
        &self,
        wishes: Vec<Wish>,
        by: &str,
        source: Source,
        expected: Option<u64>,
    ) -> Result<Done, ActivateError> {
        let _one_at_a_time = self.changing.lock().await;
        let outcome = self.change(wishes, by, source, expected).await;
        match &outcome {
            Ok(done) if done.changed => {
                let text = format!("generation {}", done.generation);
                self.events.tell(by.to_owned(), None, "activated", true, text);
            }
            Ok(done) => {
                self.events.tell(by.to_owned(), None, "unchanged", true, format!("generation {}", done.generation));
            }
            Err(ActivateError::Refused(Refusal { scope, step, why })) => {
                self.events.tell(by.to_owned(), Some(scope.clone()), step.as_str(), false, why.clone());
            }
            Err(error @ ActivateError::Conflict { .. }) => {
                self.events.tell(by.to_owned(), None, "conflict", false, error.to_string());
            }
            Err(error) => self.events.tell(by.to_owned(), None, Step::Commit.as_str(), false, error.to_string()),
        }
        outcome
    }

    /// Goes back to what was in force for the scope before, or to the last choice of `digest` there.
    ///
    /// # Errors
    /// As [`Registry::activate`]; or nothing was in force before.
    pub async fn roll_back(
        &self,
        scope: Scope,
        digest: Option<domain::policy::Digest>,
        by: &str,
        expected: Option<u64>,
    ) -> Result<Done, ActivateError> {
        let now = self.store.policies().chosen(&scope).cloned();
        let log = self.store.activation_log(u32::MAX, None).await?;
        let mut earlier = log.into_iter().filter(|row| row.scope == scope).map(|row| row.chosen);
        let before = match digest {
            Some(digest) => earlier.find(|chosen| chosen.as_ref().is_some_and(|chosen| chosen.digest == digest)),
            // What was in force first of all is what nobody chose.
            None => earlier.find(|chosen| *chosen != now).or_else(|| now.is_some().then_some(None)),
        };
        let Some(chosen) = before else { return Err(ActivateError::NothingBefore(scope)) };
        let policy = chosen.map(|Chosen { digest, settings, .. }| Wanted { digest, settings });
        self.activate(vec![Wish { scope, policy }], by, Source::RollBack, expected).await
    }

    /// Lets a policy that failed too often decide again.
    ///
    /// # Errors
    /// The database does not take it.
    pub async fn resume(&self, scope: Scope, by: &str) -> Result<Activated, ActivateError> {
        let _one_at_a_time = self.changing.lock().await;
        let outcome = self.store.resume(scope.clone(), by.to_owned()).await?;
        let rows = self.store.policies();
        // With a record that begins anew, even where no row had to change.
        self.exchange(&rows, &[], Some(&scope)).await;
        self.events.tell(by.to_owned(), Some(scope), "resumed", true, String::new());
        Ok(outcome)
    }

    /// The steps before the commit, for each wish, then the commit.
    async fn change(
        &self,
        wishes: Vec<Wish>,
        by: &str,
        source: Source,
        expected: Option<u64>,
    ) -> Result<Done, ActivateError> {
        let generation = self.store.policies().generation;
        if expected.is_some_and(|expected| expected != generation) {
            return Err(ActivateError::Conflict { generation });
        }
        let mut done = Done { generation, changed: false, steps: Vec::new(), rehearsals: Vec::new() };
        let (mut choices, mut seats) = (Vec::new(), Vec::new());
        for Wish { scope, policy } in wishes {
            let Some(wanted) = policy else {
                choices.push(Choice { scope, chosen: None });
                continue;
            };
            let Prepared { seat, steps, rehearsal } = self.prepare(&scope, &wanted).await?;
            choices.push(Choice { scope: scope.clone(), chosen: Some(seat.chosen.clone()) });
            seats.push(seat);
            done.steps.extend(steps);
            done.rehearsals.push((scope, rehearsal));
        }
        let begun = std::time::Instant::now();
        let request = Request { choices: choices.clone(), by: by.to_owned(), source, expected };
        match self.store.activate(request).await? {
            Activated::Conflict { generation } => return Err(ActivateError::Conflict { generation }),
            Activated::Unchanged { .. } => self.mend(&seats).await,
            Activated::Yes { generation } => {
                done.generation = generation;
                done.changed = true;
                self.exchange(&self.store.policies(), &seats, None).await;
                let commit = |choice: Choice| StepDone {
                    scope: choice.scope,
                    step: Step::Commit,
                    took: begun.elapsed(),
                    note: format!("generation {generation}"),
                };
                done.steps.extend(choices.into_iter().map(commit));
            }
        }
        Ok(done)
    }

    /// The choice stays, but what did not load any more may be whole again.
    async fn mend(&self, prepared: &[Arc<Seat>]) {
        if self.in_force().seats().any(|seat| seat.policy.is_err()) {
            self.exchange(&self.store.policies(), prepared, None).await;
        }
    }

    async fn prepare(&self, scope: &Scope, wanted: &Wanted) -> Result<Prepared, Refusal> {
        let mut snapshots = self.journal.inputs(LOGGED_INPUTS);
        snapshots.push(self.store.snapshot());
        let stage = Stage { in_force: self.in_force(), snapshots, settings: self.settings };
        Preparation::new(&self.library, scope).prepare(wanted, stage).await
    }

    /// Puts what the rows say in the place of what was in force. Seats whose choice stays keep their record, but for
    /// `renewed`.
    async fn exchange(&self, rows: &PoliciesInForce, prepared: &[Arc<Seat>], renewed: Option<&Scope>) {
        let mut known: Vec<Arc<Seat>> = prepared.to_vec();
        known.extend(self.in_force().seats().cloned());
        let (in_force, broken) = InForce::load(&self.library, rows, &known, renewed).await;
        // First: a new policy's first decision sees what was used.
        self.keep_usage(&in_force).await;
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(in_force);
        for (scope, why) in broken {
            self.events.tell(String::new(), Some(scope), "broken", false, why);
        }
        self.dispatch.wake();
    }

    /// What cannot be read now leaves a policy without usage, and in force all the same.
    async fn keep_usage(&self, in_force: &InForce) {
        if let Err(error) = self.store.keep_usage(in_force.half_lives(self.services.iter())).await {
            let error = &error as &(dyn std::error::Error + 'static);
            tracing::error!(error, "what users used is not known: policies that ask for it decide without");
        }
    }
}
