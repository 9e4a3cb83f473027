//! A cloud that makes machines, and the machines.

use std::collections::{BTreeMap, BTreeSet};

use domain::pool::instance::{Event, Launch, RefusalKind, Unanswered};
use domain::pool::{Lifecycle, Listed, Offer, ProviderId, Tag};
use domain::{ClientName, JobId};

use crate::given::{SECOND, refusal};

/// What goes wrong with the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Refuses(RefusalKind),
    AnswerLost { made: bool },
    TokenTaken,
    NeverBoots,
    BootsLate,
    OffersLess,
    TerminationLost,
}

#[derive(Debug, Clone)]
pub struct Machine {
    pub provider: ProviderId,
    pub tag: Option<Tag>,
    pub client: ClientName,
    pub offer: Offer,
    /// When its client first calls; never for some.
    pub boots_at: Option<u64>,
    pub registered: bool,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// When the provider takes it away.
    pub doomed_at: Option<u64>,
    /// Until when it and the server cannot hear each other.
    pub cut_until: u64,
    /// When the server heard of it last.
    pub silent_since: u64,
    /// Jobs on it, and when each is through: then its results wait until they are accepted.
    pub work: BTreeMap<JobId, u64>,
}

#[derive(Debug, Default)]
pub struct Cloud {
    pub machines: Vec<Machine>,
    pub tokens: BTreeMap<String, ProviderId>,
    pub fault: Option<Fault>,
    pub list_is_empty_until: u64,
    /// Places without spot capacity.
    pub full: BTreeSet<(String, String)>,
    next: u32,
}

impl Cloud {
    /// One without a tag, and one of another server's with the number of our first row.
    pub fn with_strangers() -> Self {
        let mut cloud = Self::default();
        cloud.make(None, Offer::default(), 0);
        let tag = Tag {
            server: "theirs".parse().unwrap(),
            pool: "near".parse().unwrap(),
            instance: domain::pool::InstanceId(1),
        };
        cloud.make(Some(tag), Offer::default(), 0);
        cloud
    }

    fn make(&mut self, tag: Option<Tag>, offer: Offer, boots_at: u64) -> ProviderId {
        self.next += 1;
        let provider: ProviderId = format!("i-{}", self.next).parse().unwrap();
        self.machines.push(Machine {
            provider: provider.clone(),
            tag,
            client: format!("client-{}", self.next).parse().unwrap(),
            offer,
            boots_at: Some(boots_at),
            registered: false,
            ended_at: None,
            doomed_at: None,
            cut_until: 0,
            silent_since: boots_at,
            work: BTreeMap::new(),
        });
        provider
    }

    /// What the caller hears of a launch.
    pub fn launch(&mut self, tag: &Tag, launch: &Launch, offer: &Offer, time: u64) -> Event {
        let fault = self.fault.take();
        if let Some(Fault::Refuses(kind @ (RefusalKind::Throttled | RefusalKind::Denied))) = fault {
            return Event::LaunchRefused(refusal(kind));
        }
        if let Some(provider) = self.tokens.get(&tag.token()) {
            return Event::Launched(provider.clone());
        }
        let full = (launch.of_type.to_string(), launch.place.to_string());
        if launch.lifecycle == Lifecycle::Spot && self.full.contains(&full) {
            return Event::LaunchRefused(refusal(RefusalKind::NoCapacity));
        }
        match fault {
            Some(Fault::Refuses(kind)) => return Event::LaunchRefused(refusal(kind)),
            Some(Fault::AnswerLost { made: false }) => return Event::LaunchUnanswered(Unanswered::Lost),
            _ => {}
        }
        let offer =
            if fault == Some(Fault::OffersLess) { Offer { slots: 1, ..Offer::default() } } else { offer.clone() };
        let provider = self.make(Some(tag.clone()), offer, time + 40 * SECOND);
        self.tokens.insert(tag.token(), provider.clone());
        let machine = self.machines.last_mut().unwrap();
        match fault {
            Some(Fault::NeverBoots) => machine.boots_at = None,
            Some(Fault::BootsLate) => machine.boots_at = Some(time + 400 * SECOND),
            Some(Fault::AnswerLost { .. }) => return Event::LaunchUnanswered(Unanswered::Lost),
            Some(Fault::TokenTaken) => return Event::LaunchUnanswered(Unanswered::TokenTaken),
            _ => {}
        }
        Event::Launched(provider)
    }

    /// Ends a machine. That nobody asks for the end of a stranger's, or of one with work that was not given up, is checked
    /// here.
    pub fn terminate(&mut self, provider: &ProviderId, assigned: &BTreeSet<JobId>, time: u64) {
        let machine = self.machines.iter_mut().find(|machine| machine.provider == *provider).unwrap();
        let server = machine.tag.as_ref().map(|tag| tag.server.to_string());
        assert_eq!(server.as_deref(), Some("ours"), "a stranger's machine was to be ended: {machine:?}");
        let works = machine.work.keys().any(|job| assigned.contains(job));
        assert!(!works, "a machine with work was to be ended: {machine:?}");
        if self.fault == Some(Fault::TerminationLost) {
            self.fault = None;
            return;
        }
        machine.ended_at.get_or_insert(time);
    }

    /// Everything, for an hour after its end too; or nothing at all.
    pub fn list(&self, time: u64) -> Vec<Listed> {
        if time < self.list_is_empty_until {
            return Vec::new();
        }
        let shown = |machine: &&Machine| machine.ended_at.is_none_or(|ended| time < ended + 3_600 * SECOND);
        let listed = |machine: &Machine| Listed {
            provider: machine.provider.clone(),
            tag: machine.tag.clone(),
            is_ended: machine.ended_at.is_some(),
        };
        self.machines.iter().filter(shown).map(listed).collect()
    }

    pub fn is_ours(machine: &Machine) -> bool {
        machine.tag.as_ref().is_some_and(|tag| tag.server.as_str() == "ours")
    }
}
