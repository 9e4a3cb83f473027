//! One decision by the policies in force. Where one fails, the built-in one decides, and it is not asked again within
//! this decision.

use std::cell::RefCell;
use std::sync::Arc;

use domain::ServiceName;
use domain::policy::{Author, PolicyKind, ScalingAnswer, ScalingInput};
use domain::schedule::Native;
use domain::schedule::policies::{Policies, QuotaAnswer, QuotaInput, RoutingAnswer, RoutingInput};
use policy_host::{Call, Cost, Fault, Policy};

use super::in_force::InForce;
use super::seat::Seat;

/// Asks what is in force, and keeps what came of it.
pub struct Deciding<'a> {
    in_force: &'a InForce,
    asked: RefCell<Vec<Asked>>,
}

/// A policy was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub seat: Arc<Seat>,
    /// For a quota policy, about whose users.
    pub service: Option<ServiceName>,
    pub cost: Cost,
    pub fault: Option<Fault>,
}

impl<'a> Deciding<'a> {
    #[must_use]
    pub fn new(in_force: &'a InForce) -> Self {
        Self { in_force, asked: RefCell::default() }
    }

    /// All that was asked, in order.
    #[must_use]
    pub fn into_asked(self) -> Vec<Asked> {
        self.asked.into_inner()
    }

    /// The policy's answer; `None` where the built-in one has to decide.
    fn ask<A>(
        &self,
        seat: &Arc<Seat>,
        service: Option<&ServiceName>,
        question: impl FnOnce(&Policy) -> Call<A>,
    ) -> Option<A> {
        let failed = |asked: &Asked| asked.fault.is_some() && Arc::ptr_eq(&asked.seat, seat);
        if self.asked.borrow().iter().any(failed) {
            return None;
        }
        let Call { answer, cost } = question(seat.to_ask()?);
        let (answer, fault) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(fault) => (None, Some(fault)),
        };
        self.asked.borrow_mut().push(Asked { seat: seat.clone(), service: service.cloned(), cost, fault });
        answer
    }
}

impl Deciding<'_> {
    /// How many instances a pool shall have.
    #[must_use]
    pub fn scaling(&self, input: &ScalingInput) -> (ScalingAnswer, Author) {
        let seat = self.in_force.seat(PolicyKind::Scaling, None);
        match self.ask(seat, None, |policy| policy.scale(input)) {
            Some(answer) => (answer, seat.author()),
            None => Native.scaling(input),
        }
    }
}

impl Policies for Deciding<'_> {
    fn quota(&self, input: &QuotaInput<'_>) -> (QuotaAnswer, Author) {
        let seat = self.in_force.seat(PolicyKind::Quota, Some(input.service));
        match self.ask(seat, Some(input.service), |policy| policy.grant(input)) {
            Some(answer) => (answer, seat.author()),
            None => Native.quota(input),
        }
    }

    fn routing(&self, input: &RoutingInput<'_>) -> (RoutingAnswer, Author) {
        // All services of one question have the same seat: see `routed_with`.
        let seat = self.in_force.seat(PolicyKind::Routing, input.shapes.first().map(|shape| shape.service));
        match self.ask(seat, None, |policy| policy.place(input)) {
            Some(answer) => (answer, seat.author()),
            None => Native.routing(input),
        }
    }

    fn routed_with(&self, service: &ServiceName) -> usize {
        self.in_force.position(self.in_force.seat(PolicyKind::Routing, Some(service)))
    }
}
