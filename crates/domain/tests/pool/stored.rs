//! What the store keeps of instances and pools: a stored format never changes its meaning.

use domain::WaitReason;
use domain::pool::instance::{Call, DrainReason, EndReason, RefusalKind};
use domain::pool::{Instance, InstanceId, InstanceState as State, Learnt, Lifecycle, Moment};

use crate::given::{booting, instance, launch, ready, refusal, settings, wanted};

fn states() -> Vec<State> {
    let (provider, since) = (|| "i-1".parse().unwrap(), Moment(5));
    let (client, up_since) = (Some("c-1".parse().unwrap()), Moment(4));
    let ends = [
        EndReason::Refused(refusal(RefusalKind::NoCapacity)),
        EndReason::NeverFound,
        EndReason::BootTimeout,
        EndReason::Drained { reason: DrainReason::NotUsed },
        EndReason::DeadlinePassed,
        EndReason::Vanished { booting: true },
    ];
    let why = DrainReason::Operator;
    let mut states = vec![
        State::Requested { call: Call::Open { repeated: true } },
        State::Requested { call: Call::Broken },
        State::Requested { call: Call::Taken { since } },
        booting(1, since),
        ready(1),
        State::Draining { provider: provider(), client, since, up_since, why, deadline: Some(Moment(9)) },
    ];
    for why in ends {
        states.push(State::Terminating { provider: provider(), since, why: why.clone() });
        states.push(State::Gone { since, why });
    }
    states
}

#[test]
fn every_instance_is_read_back_as_it_was_kept() {
    for state in states() {
        let shapes = [wanted(2, "gpu"), wanted(1, "")];
        let mut kept = Instance { launch: launch("small", "a", Lifecycle::Spot, &shapes), ..instance(7, state) };
        kept.launched_at = Some(Moment(3));
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Instance>(&text).unwrap(), kept, "{text}");
    }
}

/// A row of the first version.
const SAMPLE: &str = r#"{"id":7,"pool":"burst","launch":{"of_type":"c7i.large","place":"subnet-1","lifecycle":"spot",
    "price":90000,"shapes":[["example",{"slots":1,"requires":"gpu"}]]},"requested_at":1,"launched_at":2,"protected":false,
    "state":{"state":"draining","provider":"i-0a","client":"https://10.0.0.7:9000","since":3,"up_since":2,
    "why":"not-needed","deadline":null}}"#;

#[test]
fn a_row_of_the_first_version_is_read() {
    let row: Instance = serde_json::from_str(SAMPLE).unwrap();
    assert_eq!(row.id, InstanceId(7));
    assert!(matches!(row.state, State::Draining { why: DrainReason::NotNeeded, .. }));
}

#[test]
fn what_a_pool_learnt_is_read_back_as_it_was_kept() {
    let (mut learnt, settings) = (Learnt::default(), settings());
    let of_gpu = launch("big", "a", Lifecycle::Spot, &[wanted(1, "gpu")]);
    for kind in [RefusalKind::NoCapacity, RefusalKind::Throttled, RefusalKind::Denied] {
        learnt.memory.refused(&of_gpu, &refusal(kind), &settings, Moment(1));
        learnt.breaker.refused(InstanceId(1), kind, Moment(1));
    }
    learnt.memory.left_behind(&of_gpu, &of_gpu.shapes);
    learnt.memory.came_up(&of_gpu, &settings.types[0].declared);
    learnt.memory.came_up(&launch("small", "a", Lifecycle::Spot, &[]), &settings.types[1].declared);
    learnt.last_launch = Some(Moment(1));
    let text = serde_json::to_string(&learnt).unwrap();
    assert_eq!(serde_json::from_str::<Learnt>(&text).unwrap(), learnt, "{text}");
}

#[test]
fn reasons_of_pools_are_codes_with_numbers() {
    let pool = || "burst".parse().unwrap();
    for (reason, text) in [
        (WaitReason::InstanceBooting { seconds: 240 }, r#"{"code":"instance-booting","seconds":240}"#),
        (WaitReason::CloudRefused { refusal: "X".to_owned() }, r#"{"code":"cloud-refused","refusal":"X"}"#),
        (WaitReason::LaunchedButDoesNotFit, r#"{"code":"launched-but-does-not-fit"}"#),
        (
            WaitReason::PoolPaused { pool: pool(), cause: "denied".to_owned(), seconds: None },
            r#"{"code":"pool-paused","pool":"burst","cause":"denied","seconds":null}"#,
        ),
        (
            WaitReason::CostCap { pool: pool(), price_millionths: 2, left_millionths: 1 },
            r#"{"code":"cost-cap","pool":"burst","price_millionths":2,"left_millionths":1}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&reason).unwrap(), text);
        assert_eq!(serde_json::from_str::<WaitReason>(text).unwrap(), reason);
        assert!(text.contains(reason.code()));
    }
}
