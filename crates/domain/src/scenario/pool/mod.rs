//! Scenarios of pools: one instant of queues, clients and instances as text, and what is to be done as text.

mod print;
mod read;

use super::read::Fields;
use super::{MARK, NamedPolicy, Scenario, ScenarioError, named_policy, statements};
use crate::policy::scaling::{ScalingAnswer, ScalingInput};
use crate::policy::{NativeError, NativeScaling, PolicyKind};
use crate::pool::{
    InstanceView, Learnt, Moment, Money, Plan, PoolSettings, PoolView, imagine, plan, question, waiting,
};
use crate::schedule::snapshot::ClientView;
use crate::schedule::{Natives, decide};

/// The moment of every scenario.
const NOW: Moment = Moment(100_000_000);

/// One instant of pools, the policies that decide about it, and what they decide.
#[derive(Debug, Clone)]
pub struct PoolScenario {
    /// The queues and the clients, those of the instances among them.
    base: Scenario,
    pools: Vec<GivenPool>,
    policy: Option<NamedPolicy>,
    /// What [`PoolScenario::decide`] says.
    pub expected: String,
}

/// A pool as the text has it.
#[derive(Debug, Clone)]
struct GivenPool {
    settings: PoolSettings,
    learnt: Learnt,
    instances: Vec<InstanceView>,
    spent: Money,
    started: Moment,
}

impl PoolScenario {
    /// Reads what is given and, below the mark, what is expected.
    ///
    /// # Errors
    /// A statement that the language does not have, or one that lacks what has to stand above it.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let (given, expected) = text.split_once(MARK).unwrap_or((text, ""));
        let base = Scenario::parse("")?;
        let mut scenario = Self { base, pools: Vec::new(), policy: None, expected: expected.to_owned() };
        statements(given, |verb, words| scenario.statement(verb, words))?;
        Ok(scenario)
    }

    /// What is to be done about each pool, and what those are told who wait, by the policies that the text names.
    ///
    /// # Errors
    /// A policy that is not shipped, or a setting that cannot be.
    pub fn decide(&self) -> Result<String, NativeError> {
        let natives = self.base.natives()?;
        let policy = match &self.policy {
            None => NativeScaling::default(),
            Some(policy) => NativeScaling::configure(policy.name.as_str(), &policy.settings)?,
        };
        Ok(self.decide_by(&natives, |input| policy.scale(input)))
    }

    /// The same by any scaling policy.
    #[must_use]
    pub fn decide_by(&self, natives: &Natives, scale: impl Fn(&ScalingInput) -> ScalingAnswer) -> String {
        let views: Vec<PoolView<'_>> = self.pools.iter().map(GivenPool::view).collect();
        let imagined = imagine(self.base.snapshot.clone(), &views, natives, NOW);
        let mut text = String::new();
        for (view, demand) in views.iter().zip(&imagined.pools) {
            let question = question(view, demand, NOW);
            let plan: Plan = plan(view, demand, &question, &scale(&question.input), NOW);
            print::pool(&mut text, view, demand, &plan);
        }
        let told = waiting::reasons(&views, &imagined, NOW);
        let decision = decide(&self.base.snapshot, natives, self.base.settings);
        print::waiting(&mut text, decision.reasons, &told);
        text
    }

    fn statement(&mut self, verb: &str, mut words: std::str::SplitWhitespace<'_>) -> Result<(), String> {
        if matches!(verb, "client" | "service" | "user" | "jobs" | "reserve_after") {
            return self.base.statement(verb, words);
        }
        let name = words.next().unwrap_or_default();
        if verb == "policy" {
            return self.policy(name, words);
        }
        let fields = Fields::read(words)?;
        if verb == "pool" {
            self.pools.push(read::pool(name, fields)?);
            return Ok(());
        }
        let pool = self.pools.last_mut().ok_or_else(|| format!("`{verb}` needs a pool above"))?;
        match verb {
            "type" => pool.settings.types.push(read::of_type(name, fields)?),
            "reported" => read::reported(pool, name, fields)?,
            "refused" => read::refused(pool, name, fields)?,
            "in_vain" => read::in_vain(pool, name, fields)?,
            "paused" => read::paused(pool, name, fields)?,
            "instance" => {
                let (view, client) = read::instance(pool, name, fields)?;
                pool.instances.push(view);
                self.base.snapshot.clients.extend(client);
            }
            other => {
                return Err(format!(
                    "`{other}` is not one of policy, client, service, user, jobs, pool, type, reported, refused, in_vain, \
                     paused, instance"
                ));
            }
        }
        Ok(())
    }

    fn policy<'a>(&mut self, name: &str, words: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let policy = named_policy(name, words)?;
        match policy.kind {
            Some(PolicyKind::Scaling) => self.policy = Some(policy),
            _ => self.base.policies.push(policy),
        }
        Ok(())
    }
}

impl GivenPool {
    fn view(&self) -> PoolView<'_> {
        PoolView {
            settings: &self.settings,
            learnt: &self.learnt,
            instances: self.instances.clone(),
            spent_this_month: self.spent,
            history: Vec::new(),
            started: self.started,
        }
    }
}

/// An instance, and its client where it has one.
type Given = (InstanceView, Option<ClientView>);
