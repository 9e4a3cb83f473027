//! Who had the use of clients, from the history. Hours pass by moving what the database remembers into the past.

use std::time::Duration;

use domain::pool::cost::Work;
use domain::{End, Event};
use store::UnixMillis;
use store::instances::Stay;

use crate::harness::{House, client, job, limits, service, user};

const HOUR: i64 = 3_600_000;

fn work(of: i64, slots: u32, hours: f64) -> Work {
    let time = Duration::from_secs_f64(hours * 3_600.0);
    Work { service: service(), user: user(of), slots, time }
}

/// Within a minute: the test itself takes a moment.
#[track_caller]
fn assert_near(found: &[Work], expected: &[Work]) {
    let near = |(one, other): (&Work, &Work)| {
        let same = Work { time: other.time, ..one.clone() } == *other;
        same && one.time.abs_diff(other.time) < Duration::from_secs(60)
    };
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(near), "{found:?}\n{expected:?}");
}

async fn pass(house: &House) {
    house.meddle("UPDATE history SET at = at - 3600000").await;
}

/// On c0: user 1 with two jobs of one slot, two hours and one hour; user 2 with one of two slots that goes on for an hour.
/// On c1 user 1 with one that was lost after an hour.
async fn worked() -> House {
    let house = House::with(limits(9, 9), &[9, 9]).await;
    let first = house.accept(1).await;
    let long = house.assign(first, 0).await.unwrap();
    pass(&house).await;
    let second = house.accept(1).await;
    let short = house.assign(second, 0).await.unwrap();
    let big = house.store.accept(job(2, 2, 0)).await.unwrap().id();
    house.assign(big, 0).await.unwrap();
    let third = house.accept(1).await;
    let lost = house.assign(third, 1).await.unwrap();
    pass(&house).await;
    for assignment in [long, short] {
        house.report(assignment, Event::Ended(End::Exit(0))).await;
    }
    house.report(lost, Event::Delivered).await;
    house.report(lost, Event::DeclaredLost).await;
    house.store.expire(vec![first]).await.unwrap();
    house
}

#[tokio::test]
async fn each_user_has_the_slots_of_all_its_attempts_on_a_client() {
    let house = worked().await;
    let now = house.store.now();
    let stay = |index| Stay { client: client(index), from: UnixMillis(0), until: now };
    let stays = [stay(0), stay(1), stay(7)];
    let works = house.store.work(&stays, UnixMillis(0), now).await.unwrap();
    assert_near(&works[0], &[work(1, 1, 3.0), work(2, 2, 1.0)]);
    assert_near(&works[1], &[work(1, 1, 1.0)]);
    assert_near(&works[2], &[]);
    assert_eq!(house.store.work(&[], UnixMillis(0), now).await.unwrap(), Vec::<Vec<Work>>::new());
}

#[tokio::test]
async fn only_what_is_in_the_time_and_in_the_stay_counts() {
    let house = worked().await;
    let now = house.store.now();
    let ago = |half_hours: i64| UnixMillis(now.0 - half_hours * HOUR / 2);
    let stay = |from, until| Stay { client: client(0), from, until };
    let whole = stay(UnixMillis(0), now);
    let of = async |stay: Stay, from, until| house.store.work(&[stay], from, until).await.unwrap().remove(0);
    assert_near(&of(whole.clone(), ago(1), now).await, &[work(1, 1, 1.0), work(2, 2, 0.5)]);
    assert_near(&of(whole.clone(), ago(18), ago(3)).await, &[work(1, 1, 0.5)]);
    assert_near(&of(stay(UnixMillis(0), ago(1)), ago(18), now).await, &[work(1, 1, 2.0), work(2, 2, 0.5)]);
    let before = UnixMillis(ago(2).0 - 60_000);
    assert_near(&of(stay(before, now), ago(18), now).await, &[work(1, 1, 1.0), work(2, 2, 1.0)]);
    assert_near(&of(whole, ago(-2), UnixMillis(now.0 + 2 * HOUR)).await, &[]);
}
