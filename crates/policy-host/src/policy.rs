//! Asking a policy: one fresh instance, configured and asked once, within its budget.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::policy::scaling::check;
use domain::policy::{Author, Description, PolicyKind, ScalingAnswer, ScalingInput, Settings};
use domain::schedule::policies::{QuotaAnswer, QuotaInput, RoutingAnswer, RoutingInput};
use domain::schedule::{PolicyFault, check_quota, check_routing};
use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Store, Trap, UpdateDeadline};

use crate::budget::{MemoryExceeded, Meter};
use crate::component::{Component, World};
use crate::engine::one_line;
use crate::error::{ConfigureError, Fault};
use crate::v1;

/// A component with its settings.
#[derive(Debug)]
pub struct Policy {
    component: Arc<Component>,
    settings: Settings,
    given: Vec<v1::Setting>,
    description: Description,
}

/// What came of a question, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Call<A, E = Fault> {
    /// The answer, which keeps every hard limit, or how the policy failed.
    pub answer: Result<A, E>,
    /// Also of a call that failed.
    pub cost: Cost,
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Fuel used.
    pub fuel: u64,
    /// Time on the clock, with what was converted on the way in and out.
    pub time: Duration,
}

/// The policy said no to its settings.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

/// It took longer on the processor than it may.
#[derive(Debug, thiserror::Error)]
#[error("more processor time than its budget")]
struct TimeExceeded;

impl Policy {
    pub(crate) fn new(component: Arc<Component>, settings: &Settings) -> Result<Self, ConfigureError> {
        let given = v1::settings(settings);
        let described = run(&component, 0, |store| match &component.world {
            World::Quota(pre) => {
                let instance = pre.instantiate(&mut *store)?;
                instance.call_configure(&mut *store, &given)?.map_err(Refusal)?;
                instance.call_describe(&mut *store)
            }
            World::Routing(pre) => {
                let instance = pre.instantiate(&mut *store)?;
                instance.call_configure(&mut *store, &given)?.map_err(Refusal)?;
                instance.call_describe(&mut *store)
            }
            World::Scaling(pre) => {
                let instance = pre.instantiate(&mut *store)?;
                instance.call_configure(&mut *store, &given)?.map_err(Refusal)?;
                instance.call_describe(&mut *store)
            }
        });
        let described = match described.answer {
            Ok(described) => described,
            Err(Failure::Refused(why)) => return Err(ConfigureError::Refused(why)),
            Err(Failure::Fault(fault)) => return Err(fault.into()),
        };
        let description = v1::description(described).map_err(ConfigureError::Description)?;
        Ok(Self { component, settings: settings.clone(), given, description })
    }

    /// What it decides about.
    #[must_use]
    pub fn kind(&self) -> PolicyKind {
        self.component.kind()
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// What it was configured with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who answers.
    #[must_use]
    pub fn author(&self) -> Author {
        Author { name: self.description.name.clone(), digest: Some(self.component.digest()) }
    }

    /// Asks a quota policy. An answer that would break a hard limit is a fault.
    #[must_use]
    pub fn grant(&self, input: &QuotaInput<'_>) -> Call<QuotaAnswer> {
        self.ask(input.users.len(), |store| {
            let World::Quota(pre) = &self.component.world else { return Err(self.other_kind()) };
            let asked = v1::quota_input(input);
            let instance = pre.instantiate(&mut *store)?;
            instance.call_configure(&mut *store, &self.given)?.map_err(Refusal)?;
            let answer = v1::quota_answer(instance.call_grant(&mut *store, &asked)?)?;
            followed(&check_quota(input, &answer)).map(|()| answer)
        })
    }

    /// Asks a routing policy. An answer that would break a hard limit is a fault.
    #[must_use]
    pub fn place(&self, input: &RoutingInput<'_>) -> Call<RoutingAnswer> {
        self.ask(input.jobs.len() + input.clients.len() + input.kinds.len(), |store| {
            let World::Routing(pre) = &self.component.world else { return Err(self.other_kind()) };
            let asked = v1::routing_input(input);
            let instance = pre.instantiate(&mut *store)?;
            instance.call_configure(&mut *store, &self.given)?.map_err(Refusal)?;
            let answer = v1::routing_answer(instance.call_place(&mut *store, &asked)?);
            followed(&check_routing(input, &answer)).map(|()| answer)
        })
    }

    /// Asks a scaling policy. An answer that would break a bound of the pool is a fault.
    #[must_use]
    pub fn scale(&self, input: &ScalingInput) -> Call<ScalingAnswer> {
        self.ask(input.instances.len() + input.types.len(), |store| {
            let World::Scaling(pre) = &self.component.world else { return Err(self.other_kind()) };
            let asked = v1::scaling_input(input);
            let instance = pre.instantiate(&mut *store)?;
            instance.call_configure(&mut *store, &self.given)?.map_err(Refusal)?;
            let answer = v1::scaling_answer(instance.call_scale(&mut *store, &asked)?);
            match check(input, &answer).first() {
                None => Ok(answer),
                Some(breach) => Err(wasmtime::Error::msg(breach.to_string())),
            }
        })
    }

    fn ask<A>(&self, records: usize, call: impl FnOnce(&mut Store<Meter>) -> wasmtime::Result<A>) -> Call<A> {
        let Call { answer, cost } = run(&self.component, records, call);
        let answer = answer.map_err(|failure| match failure {
            Failure::Fault(fault) => fault,
            Failure::Refused(why) => Fault::Invalid(format!("it took its settings before and does not now: {why}")),
        });
        Call { answer, cost }
    }

    fn other_kind(&self) -> wasmtime::Error {
        wasmtime::Error::msg(format!("it is a {} policy", self.kind()))
    }
}

/// What ended a call early.
enum Failure {
    Refused(String),
    Fault(Fault),
}

/// One call in a store of its own.
fn run<A>(
    component: &Component,
    records: usize,
    call: impl FnOnce(&mut Store<Meter>) -> wasmtime::Result<A>,
) -> Call<A, Failure> {
    let (host, started) = (&component.host, Instant::now());
    let budget = &host.budget;
    let fuel = budget.fuel_for(records);
    let mut store = Store::new(&host.engine, Meter::new(budget));
    store.limiter(|meter| meter);
    store.set_hostcall_fuel(budget.answer);
    let deadline = processor_time() + budget.processor_time;
    store.epoch_deadline_callback(move |_| {
        if processor_time() >= deadline { Err(TimeExceeded.into()) } else { Ok(UpdateDeadline::Continue(1)) }
    });
    store.set_epoch_deadline(1);
    let _ticking = host.ticks.call();
    let answer = match store.set_fuel(fuel) {
        Ok(()) => call(&mut store),
        Err(error) => Err(error),
    };
    let used = fuel.saturating_sub(store.get_fuel().unwrap_or(0));
    let answer = answer.map_err(|error| failure(&error, component, fuel));
    Call { answer, cost: Cost { fuel: used, time: started.elapsed() } }
}

fn failure(error: &wasmtime::Error, component: &Component, fuel: u64) -> Failure {
    let budget = &component.host.budget;
    if let Some(Refusal(why)) = error.downcast_ref() {
        return Failure::Refused(why.clone());
    }
    Failure::Fault(if error.is::<TimeExceeded>() {
        Fault::Deadline { budget: budget.processor_time }
    } else if error.is::<MemoryExceeded>() {
        Fault::Memory { budget: budget.memory }
    } else {
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => Fault::OutOfFuel { budget: fuel },
            Some(trap) => Fault::Trap(trap.to_string()),
            // Lifting what it answered failed: bad pointers, text that is none, more than fits.
            None => Fault::Invalid(one_line(error)),
        }
    })
}

fn followed(faults: &[PolicyFault]) -> wasmtime::Result<()> {
    let Some(fault) = faults.first() else { return Ok(()) };
    Err(wasmtime::Error::msg(format!("{}, {} times", fault.breach, fault.count)))
}

/// Of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
