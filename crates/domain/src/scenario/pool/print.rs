//! Plans as text.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::WaitReason;
use crate::pool::memory::Wanted;
use crate::pool::{Action, Capped, Plan, PoolDemand, PoolView, Unmet, waiting};
use crate::schedule::WaitingReason;
use crate::schedule::snapshot::Shape;

/// A line of numbers, and one for each action, bound and breach.
pub(super) fn pool(text: &mut String, view: &PoolView<'_>, demand: &PoolDemand, plan: &Plan) {
    // Writing to a string does not fail.
    let _written = write_pool(text, view, demand, plan);
}

/// What those are told who wait, once for each service and shape.
pub(super) fn waiting(text: &mut String, dispatch: Vec<WaitingReason>, told: &BTreeMap<Wanted, WaitReason>) {
    for WaitingReason { service, user, shape, reason } in dispatch {
        let wanted = (service, shape);
        let reason = waiting::better(reason, told.get(&wanted));
        let _written = write_wanted(text, "  wait", &wanted)
            .and_then(|()| writeln!(text, " user {user}: {}: {reason}", reason.code()));
    }
}

fn write_pool(text: &mut String, view: &PoolView<'_>, demand: &PoolDemand, plan: &Plan) -> fmt::Result {
    let PoolDemand { needs, free_slots, booting, waiting, unmet, .. } = demand;
    let (name, live) = (&view.settings.name, view.live());
    let needs = needs.len();
    writeln!(text, "  {name}: demand {needs}, waiting {waiting}, live {live}, booting {booting}, free {free_slots}")?;
    if let Some(Unmet { jobs, by }) = unmet {
        writeln!(text, "  unmet {jobs}: {}: {by}", by.code())?;
    }
    plan.actions.iter().try_for_each(|action| write_action(text, action))?;
    for (launch, wanted) in
        plan.lessons.drained.values().flat_map(|(launch, left)| left.iter().map(move |wanted| (launch, wanted)))
    {
        write_wanted(text, &format!("  {} came up in vain for", launch.of_type), wanted)?;
        writeln!(text)?;
    }
    writeln!(text, "  because {}", plan.reason)?;
    for Capped { by, count } in &plan.capped {
        writeln!(text, "  capped {count}: {}: {by}", by.code())?;
    }
    for breach in &plan.breaches {
        writeln!(text, "  breach: {breach}")?;
    }
    Ok(())
}

fn write_action(text: &mut String, action: &Action) -> fmt::Result {
    match action {
        Action::Launch(launch) => {
            write!(text, "  launch {} in {} {}", launch.of_type, launch.place, launch.lifecycle)?;
            launch.shapes.iter().try_for_each(|wanted| write_wanted(text, " for", wanted))?;
            writeln!(text)
        }
        Action::GiveUp(instance) => writeln!(text, "  give up {instance}"),
        Action::Drain { instance, why } => writeln!(text, "  drain {instance}: {why}"),
        Action::Undrain(instance) => writeln!(text, "  undrain {instance}"),
        Action::Terminate(instance) => writeln!(text, "  terminate {instance}"),
        Action::EndBusy(instance) => writeln!(text, "  end {instance} with its work"),
    }
}

fn write_wanted(text: &mut String, word: &str, (service, shape): &Wanted) -> fmt::Result {
    let Shape { slots, requires } = shape;
    write!(text, "{word} {service}")?;
    if slots.get() > 1 {
        write!(text, " slots={}", slots.get())?;
    }
    if !requires.is_empty() {
        write!(text, " requires={requires}")?;
    }
    Ok(())
}
