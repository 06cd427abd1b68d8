//! `Retention`: which points of a repository stay, and why.
//!
//! Points are ordered by their numbers, never by time: a clock may have gone back. Times only say into which hour, day,
//! week, month or year (of UTC) a point falls, and how long before the newest one it was made.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};

/// Which points stay: each that any of the rules keeps. Without any, only the newest one does, and those with labels.
///
/// ```
/// use cairn_backup::{KeepReason, Retention, RetentionPoint};
///
/// let day = 24 * 3600 * 1_000_000;
/// let points: Vec<_> = (1..=30).map(|n| RetentionPoint::new(n, n * day)).collect();
/// let kept = Retention::new().daily(7).weekly(3).keep(&points);
/// assert_eq!(kept.len(), 8); // seven days, of two weeks, and the last one of the week before
/// assert!(kept[&30].contains(&KeepReason::Newest));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// So many of the newest ones.
    pub last: u64,
    /// All that were made within this time before the newest one.
    pub within: Duration,
    /// The newest one of each of the last so many hours that have any.
    pub hourly: u64,
    /// As `hourly`, of days.
    pub daily: u64,
    /// As `hourly`, of weeks, which begin with Monday.
    pub weekly: u64,
    /// As `hourly`, of months.
    pub monthly: u64,
    /// As `hourly`, of years.
    pub yearly: u64,
    /// All that have a label (default: yes).
    pub labels: bool,
    /// At least so many, whatever the other rules say.
    pub at_least: u64,
    /// At least one that is proved, if there is one (default: yes).
    pub proved: bool,
    /// Which of the shipped journal stays.
    pub journal: KeptJournal,
}

/// Which of the journal that was shipped stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "for all points that stay, or for the newest one")]
pub enum KeptJournal {
    /// All that comes after the oldest point that stays: each commit since then can be restored.
    #[default]
    SinceOldest,
    /// What comes after the newest point: of the time before it only the points.
    SinceNewest,
}

/// A point as a policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionPoint {
    /// Its number.
    pub number: u64,
    /// When it was made, in microseconds since 1970.
    pub time: u64,
    /// Whether it has a label.
    pub has_label: bool,
    /// Whether it is proved.
    pub is_proved: bool,
}

impl RetentionPoint {
    /// A point without a label that is not proved.
    #[must_use]
    pub const fn new(number: u64, time: u64) -> Self {
        Self { number, time, has_label: false, is_proved: false }
    }
}

/// Why a point stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum KeepReason {
    /// It is the newest one, which always stays.
    Newest,
    /// It is one of the last so many.
    Last,
    /// It was made a short time before the newest one.
    Within,
    /// It is the newest one of its hour.
    Hourly,
    /// It is the newest one of its day.
    Daily,
    /// It is the newest one of its week.
    Weekly,
    /// It is the newest one of its month.
    Monthly,
    /// It is the newest one of its year.
    Yearly,
    /// It has a label.
    Label,
    /// It is the newest one that is proved, and no other one that stays is.
    Proved,
    /// There would be too few without it.
    AtLeast,
    /// Journal that was shipped, and stays, goes on from it.
    Journal,
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Newest => "newest",
            Self::Last => "last",
            Self::Within => "within",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
            Self::Label => "label",
            Self::Proved => "proved",
            Self::AtLeast => "at-least",
            Self::Journal => "journal",
        })
    }
}

/// The periods of a calendar.
const PERIODS: [KeepReason; 5] = [
    KeepReason::Hourly,
    KeepReason::Daily,
    KeepReason::Weekly,
    KeepReason::Monthly,
    KeepReason::Yearly,
];

impl Default for Retention {
    fn default() -> Self {
        Self {
            last: 0,
            within: Duration::ZERO,
            hourly: 0,
            daily: 0,
            weekly: 0,
            monthly: 0,
            yearly: 0,
            labels: true,
            at_least: 1,
            proved: true,
            journal: KeptJournal::default(),
        }
    }
}

macro_rules! setters {
    ($($name:ident: $type:ty),+ $(,)?) => {$(
        #[doc = concat!("Sets [`Retention::", stringify!($name), "`](Retention#structfield.", stringify!($name), ").")]
        #[must_use]
        pub const fn $name(mut self, $name: $type) -> Self {
            self.$name = $name;
            self
        }
    )+};
}

impl Retention {
    /// The newest point, and those with labels.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters!(
        last: u64,
        within: Duration,
        hourly: u64,
        daily: u64,
        weekly: u64,
        monthly: u64,
        yearly: u64,
        labels: bool,
        at_least: u64,
        proved: bool,
        journal: KeptJournal,
    );

    /// Whether it says of any point but the newest, and those with labels, that it stays.
    #[must_use]
    pub const fn says_anything(&self) -> bool {
        self.last > 0
            || !self.within.is_zero()
            || self.hourly > 0
            || self.daily > 0
            || self.weekly > 0
            || self.monthly > 0
            || self.yearly > 0
            || self.at_least > 1
    }

    const fn count_of(&self, period: KeepReason) -> u64 {
        match period {
            KeepReason::Hourly => self.hourly,
            KeepReason::Daily => self.daily,
            KeepReason::Weekly => self.weekly,
            KeepReason::Monthly => self.monthly,
            KeepReason::Yearly => self.yearly,
            _ => 0,
        }
    }

    /// The numbers of the points that stay, each with the reasons.
    #[must_use]
    pub fn keep(&self, points: &[RetentionPoint]) -> BTreeMap<u64, BTreeSet<KeepReason>> {
        let mut newest_first = points.to_vec();
        newest_first.sort_unstable_by_key(|point| std::cmp::Reverse(point.number));
        let mut kept: BTreeMap<u64, BTreeSet<KeepReason>> = BTreeMap::new();
        let Some(newest) = newest_first.first() else { return kept };
        let mut keep = |point: &RetentionPoint, why| {
            kept.entry(point.number).or_default().insert(why);
        };
        keep(newest, KeepReason::Newest);
        let within = u64::try_from(self.within.as_micros()).unwrap_or(u64::MAX);
        for (place, point) in (0_u64..).zip(&newest_first) {
            if place < self.last {
                keep(point, KeepReason::Last);
            }
            if within > 0 && point.time >= newest.time.saturating_sub(within) {
                keep(point, KeepReason::Within);
            }
            if self.labels && point.has_label {
                keep(point, KeepReason::Label);
            }
        }
        for period in PERIODS {
            let mut seen = BTreeSet::new();
            for point in &newest_first {
                if seen.len() as u64 >= self.count_of(period) {
                    break;
                }
                if seen.insert(bucket(period, point.time)) {
                    keep(point, period);
                }
            }
        }
        let is_kept = |point: &&RetentionPoint| kept.contains_key(&point.number);
        if self.proved
            && !newest_first.iter().filter(is_kept).any(|point| point.is_proved)
            && let Some(proved) = newest_first.iter().find(|point| point.is_proved)
        {
            kept.entry(proved.number).or_default().insert(KeepReason::Proved);
        }
        for point in &newest_first {
            if kept.len() as u64 >= self.at_least {
                break;
            }
            kept.entry(point.number).or_insert_with(|| BTreeSet::from([KeepReason::AtLeast]));
        }
        kept
    }
}

/// Into which of the periods of its kind a time falls.
fn bucket(period: KeepReason, time: u64) -> (i16, i8, i8, i8) {
    let timestamp =
        i64::try_from(time).ok().and_then(|time| Timestamp::from_microsecond(time).ok());
    // What no calendar has is in the last year that one has.
    let at = TimeZone::UTC.to_datetime(timestamp.unwrap_or(Timestamp::MAX));
    match period {
        KeepReason::Hourly => (at.year(), at.month(), at.day(), at.hour()),
        KeepReason::Daily => (at.year(), at.month(), at.day(), 0),
        KeepReason::Weekly => {
            let week = at.date().iso_week_date();
            (week.year(), week.week(), 0, 0)
        }
        KeepReason::Monthly => (at.year(), at.month(), 0, 0),
        _ => (at.year(), 0, 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3600 * 1_000_000;

    /// The number of a period since 1970, by arithmetic alone; years and months by counting days.
    fn period_of(period: KeepReason, time: u64) -> u64 {
        let hours = time / HOUR;
        let days = hours / 24;
        let (mut year, mut left) = (1970, days);
        let is_leap = |year: u64| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        while left >= 365 + u64::from(is_leap(year)) {
            left -= 365 + u64::from(is_leap(year));
            year += 1;
        }
        let mut month = 0;
        for length in [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if left < length {
                break;
            }
            left -= length;
            month += 1;
        }
        match period {
            KeepReason::Hourly => hours,
            KeepReason::Daily => days,
            KeepReason::Weekly => (days + 3) / 7, // 1970 began with a Thursday
            KeepReason::Monthly => year * 12 + month,
            _ => year,
        }
    }

    /// Why a point stays, said of each point for itself.
    fn reasons(
        policy: &Retention,
        points: &[RetentionPoint],
        of: &RetentionPoint,
    ) -> BTreeSet<KeepReason> {
        let later: Vec<_> = points.iter().filter(|point| point.number > of.number).collect();
        let newest = points.iter().max_by_key(|point| point.number).unwrap();
        let within = u64::try_from(policy.within.as_micros()).unwrap();
        let mut why = BTreeSet::new();
        let mut when = |is_so: bool, reason| {
            if is_so {
                why.insert(reason);
            }
        };
        when(later.is_empty(), KeepReason::Newest);
        when((later.len() as u64) < policy.last, KeepReason::Last);
        when(within > 0 && of.time + within >= newest.time, KeepReason::Within);
        when(policy.labels && of.has_label, KeepReason::Label);
        for period in PERIODS {
            let of_later: BTreeSet<_> =
                later.iter().map(|point| period_of(period, point.time)).collect();
            let is_first = !of_later.contains(&period_of(period, of.time));
            when(is_first && (of_later.len() as u64) < policy.count_of(period), period);
        }
        why
    }

    fn points() -> impl Strategy<Value = Vec<RetentionPoint>> {
        // Steps of a clock that at times goes back, or far ahead.
        let step = prop_oneof![
            8 => 0..30 * HOUR as i64,
            2 => 0..900 * 24 * HOUR as i64,
            1 => -40 * HOUR as i64..0,
        ];
        prop::collection::vec((step, 1..3_u64, prop::bool::weighted(0.1), any::<bool>()), 1..60)
            .prop_map(|steps| {
                let (mut time, mut number) = (50 * 365 * 24 * HOUR, 0);
                let points = steps.into_iter().map(|(step, gap, has_label, is_proved)| {
                    time = time.saturating_add_signed(step);
                    number += gap;
                    RetentionPoint { number, time, has_label, is_proved }
                });
                points.collect()
            })
    }

    fn policies() -> impl Strategy<Value = Retention> {
        let few = || 0..5_u64;
        ((few(), 0..2000_u64, few(), few(), few(), few(), few()), any::<[bool; 2]>(), 0..9_u64)
            .prop_map(
                |(
                    (last, hours, hourly, daily, weekly, monthly, yearly),
                    [labels, proved],
                    at_least,
                )| Retention {
                    last,
                    within: Duration::from_secs(hours * 3600),
                    hourly,
                    daily,
                    weekly,
                    monthly,
                    yearly,
                    labels,
                    at_least,
                    proved,
                    journal: KeptJournal::SinceOldest,
                },
            )
    }

    proptest! {
        #[test]
        fn what_stays_is_what_each_point_by_itself_has_a_reason_for(points in points(), policy in policies()) {
            let kept = policy.keep(&points);
            let mut by_rules: BTreeMap<u64, BTreeSet<KeepReason>> = BTreeMap::new();
            for point in &points {
                let why = reasons(&policy, &points, point);
                if !why.is_empty() {
                    by_rules.insert(point.number, why);
                }
            }
            for (number, why) in &by_rules {
                let found: BTreeSet<_> = kept[number].iter().copied().filter(|why| *why != KeepReason::Proved).collect();
                prop_assert_eq!(&found, why);
            }
            let proved = |number: &u64| points.iter().any(|point| point.number == *number && point.is_proved);
            let added: BTreeMap<_, _> = kept.iter().filter(|(number, _)| !by_rules.contains_key(number)).collect();
            if policy.proved && points.iter().any(|point| point.is_proved) {
                prop_assert!(kept.keys().any(proved));
            }
            // No more than the floors ask for.
            prop_assert!(kept.len() as u64 >= policy.at_least.min(points.len() as u64));
            let floor = added.values().filter(|why| why.contains(&KeepReason::AtLeast)).count() as u64;
            prop_assert!(floor == 0 || kept.len() as u64 == policy.at_least.min(points.len() as u64));
            let for_proof = added.values().filter(|why| why.contains(&KeepReason::Proved)).count();
            prop_assert!(for_proof <= usize::from(policy.proved && !by_rules.keys().any(proved)));
            prop_assert_eq!(floor + for_proof as u64, added.len() as u64);
        }

        #[test]
        fn a_clock_that_is_wrong_by_any_amount_keeps_as_many(points in points(), policy in policies(), ahead in 0..90_000_u64) {
            // All of them were made by a clock that is days ahead: only where days begin and end changes nothing here.
            let days = ahead / 24 * 24 * HOUR;
            let moved: Vec<_> = points.iter().map(|point| RetentionPoint { time: point.time + days, ..*point }).collect();
            let policy = Retention { weekly: 0, monthly: 0, yearly: 0, ..policy };
            prop_assert_eq!(policy.keep(&points), policy.keep(&moved));
        }
    }

    #[test]
    fn of_nothing_nothing_stays_and_of_one_the_one() {
        let policy = Retention::new();
        assert!(policy.keep(&[]).is_empty() && !policy.says_anything());
        let kept = policy.keep(&[RetentionPoint::new(7, u64::MAX)]);
        assert_eq!(kept, BTreeMap::from([(7, BTreeSet::from([KeepReason::Newest]))]));
    }
}
