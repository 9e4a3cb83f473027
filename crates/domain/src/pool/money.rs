//! Prices and sums, in millionths of whatever currency the operator's prices are in.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const MILLIONTHS: f64 = 1e6;
/// The highest price an hour that can be configured.
const HIGHEST: f64 = 1e6;

/// A sum of money in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub u64);

impl Money {
    /// In whole units of the currency, as policies and people have it.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact up to 9 billion")]
    pub fn units(self) -> f64 {
        self.0 as f64 / MILLIONTHS
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(sums: I) -> Self {
        sums.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.units())
    }
}

/// What an instance costs an hour: 0 to a million units of the currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(u64);

/// A number that is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a price or a cap is a number from 0 to 1000000")]
pub struct PriceError;

impl Price {
    /// So much an hour, in millionths.
    #[must_use]
    pub fn per_hour(self) -> Money {
        Money(self.0)
    }

    /// What so long costs, rounded down to a millionth.
    #[must_use]
    pub fn over(self, time: Duration) -> Money {
        const HOUR_MS: u128 = 3_600_000;
        let millionths = u128::from(self.0).saturating_mul(time.as_millis()) / HOUR_MS;
        Money(u64::try_from(millionths).unwrap_or(u64::MAX))
    }
}

impl TryFrom<f64> for Price {
    type Error = PriceError;

    fn try_from(units: f64) -> Result<Self, PriceError> {
        money(units).map(|money| Self(money.0))
    }
}

impl TryFrom<f64> for Money {
    type Error = PriceError;

    fn try_from(units: f64) -> Result<Self, PriceError> {
        money(units)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
fn money(units: f64) -> Result<Money, PriceError> {
    let is_price = (0.0..=HIGHEST).contains(&units);
    is_price.then(|| Money((units * MILLIONTHS).round() as u64)).ok_or(PriceError)
}
