//! Settings that are replicated, so that every node applies the log under the same ones.
//!
//! A default is never edited once shipped: replicas that disagree about it would diverge. Another default comes
//! with another cluster version.

use std::{num::IntErrorKind, ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    event::Event,
    rejection::Rejection,
    reply::Answer,
    rows::{self, Key, LoadError, RowSink, Table},
};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// How fresh a read is when the caller does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadConsistency {
    /// Sees every write that was acknowledged before the read began.
    Linearizable,
    /// What this node has applied.
    Stale,
}

/// One setting and its value. New variants go at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// How long finished requests and their logs are kept, in days.
    ArchiveDays(u32),
    /// How many finished requests are kept.
    ArchiveRequestsMax(u64),
    /// How long events are kept, in days.
    EventDays(u32),
    /// How many events are kept.
    EventsMax(u64),
    /// How fresh a read is when the caller does not say.
    ReadConsistency(ReadConsistency),
    /// How long a reply is remembered under its idempotency key, in hours of log time.
    IdempotencyHours(u32),
    /// How many variables there may be.
    VariablesMax(u64),
    /// How long a request may wait for a node that can go on with it, in hours of log time; zero is for ever.
    SuspendedHours(u32),
}

/// All settings, each at its default or as last changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    archive_days: u32,
    archive_requests_max: u64,
    event_days: u32,
    events_max: u64,
    read_consistency: ReadConsistency,
    idempotency_hours: u32,
    variables_max: u64,
    suspended_hours: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            archive_days: 30,
            archive_requests_max: 1_000_000,
            event_days: 7,
            events_max: 1_000_000,
            read_consistency: ReadConsistency::Linearizable,
            idempotency_hours: 24,
            variables_max: 1_000_000,
            suspended_hours: 0,
        }
    }
}

impl Settings {
    /// How long finished requests and their logs are kept.
    pub fn archive_age_max(&self) -> Duration {
        DAY * self.archive_days
    }

    /// How many finished requests are kept.
    pub fn archive_requests_max(&self) -> u64 {
        self.archive_requests_max
    }

    /// How long events are kept.
    pub fn event_age_max(&self) -> Duration {
        DAY * self.event_days
    }

    /// How many events are kept.
    pub fn events_max(&self) -> u64 {
        self.events_max
    }

    /// How fresh a read is when the caller does not say.
    pub fn read_consistency(&self) -> ReadConsistency {
        self.read_consistency
    }

    /// How long a reply is remembered under its idempotency key, in log time.
    pub fn idempotency_window(&self) -> Duration {
        let unit = if mutant!("idempotency-expired-early") { Duration::from_secs(1) } else { HOUR };
        unit * self.idempotency_hours
    }

    /// How many variables there may be.
    pub fn variables_max(&self) -> u64 {
        self.variables_max
    }

    /// How long a request may wait for a node that can go on with it, in log time; `None` is for ever.
    pub fn suspended_max(&self) -> Option<Duration> {
        (self.suspended_hours > 0).then(|| HOUR * self.suspended_hours)
    }

    /// Every setting as it is now, in the order of their numbers.
    pub fn all(&self) -> [Setting; 8] {
        [
            Setting::ArchiveDays(self.archive_days),
            Setting::ArchiveRequestsMax(self.archive_requests_max),
            Setting::EventDays(self.event_days),
            Setting::EventsMax(self.events_max),
            Setting::ReadConsistency(self.read_consistency),
            Setting::IdempotencyHours(self.idempotency_hours),
            Setting::VariablesMax(self.variables_max),
            Setting::SuspendedHours(self.suspended_hours),
        ]
    }

    /// The value the setting of this kind has now.
    fn current(&self, kind: Setting) -> Setting {
        match kind {
            Setting::ArchiveDays(_) => Setting::ArchiveDays(self.archive_days),
            Setting::ArchiveRequestsMax(_) => Setting::ArchiveRequestsMax(self.archive_requests_max),
            Setting::EventDays(_) => Setting::EventDays(self.event_days),
            Setting::EventsMax(_) => Setting::EventsMax(self.events_max),
            Setting::ReadConsistency(_) => Setting::ReadConsistency(self.read_consistency),
            Setting::IdempotencyHours(_) => Setting::IdempotencyHours(self.idempotency_hours),
            Setting::VariablesMax(_) => Setting::VariablesMax(self.variables_max),
            Setting::SuspendedHours(_) => Setting::SuspendedHours(self.suspended_hours),
        }
    }

    fn assign(&mut self, setting: Setting) {
        match setting {
            Setting::ArchiveDays(days) => self.archive_days = days,
            Setting::ArchiveRequestsMax(count) => self.archive_requests_max = count,
            Setting::EventDays(days) => self.event_days = days,
            Setting::EventsMax(count) => self.events_max = count,
            Setting::ReadConsistency(consistency) => self.read_consistency = consistency,
            Setting::IdempotencyHours(hours) => self.idempotency_hours = hours,
            Setting::VariablesMax(count) => self.variables_max = count,
            Setting::SuspendedHours(hours) => self.suspended_hours = hours,
        }
    }

    /// Writes the row of every setting that is not at its default, and changes it.
    pub(crate) fn evolve(&mut self, setting: Setting, sink: &mut RowSink) {
        let default = Self::default();
        let row = |value: Setting| (value != default.current(value)).then_some(value);
        sink.replace(&key(setting), row(self.current(setting)).as_ref(), row(setting).as_ref());
        self.assign(setting);
    }

    pub(crate) fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let setting = rows::decode(key, value)?;
        self.assign(setting);
        Ok(())
    }

    /// Writes every row of the settings as if it were new.
    pub(crate) fn dump(&self, sink: &mut RowSink) {
        let default = Self::default();
        for setting in self.all().into_iter().filter(|s| *s != default.current(*s)) {
            sink.replace(&key(setting), None, Some(&setting));
        }
    }
}

fn key(setting: Setting) -> Key {
    Key::new(Table::Setting).fixed(setting.name().as_bytes())
}

impl Setting {
    /// The setting's name, in the API and in its row's key.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ArchiveDays(_) => "archive_days",
            Self::ArchiveRequestsMax(_) => "archive_requests_max",
            Self::EventDays(_) => "event_days",
            Self::EventsMax(_) => "events_max",
            Self::ReadConsistency(_) => "read_consistency",
            Self::IdempotencyHours(_) => "idempotency_hours",
            Self::VariablesMax(_) => "variables_max",
            Self::SuspendedHours(_) => "suspended_hours",
        }
    }

    /// The value as text, as [`Setting::parse`] reads it.
    pub fn value(&self) -> String {
        match self {
            Self::ArchiveDays(n) | Self::EventDays(n) => n.to_string(),
            Self::IdempotencyHours(n) | Self::SuspendedHours(n) => n.to_string(),
            Self::ArchiveRequestsMax(n) | Self::EventsMax(n) | Self::VariablesMax(n) => n.to_string(),
            Self::ReadConsistency(ReadConsistency::Linearizable) => "linearizable".to_owned(),
            Self::ReadConsistency(ReadConsistency::Stale) => "stale".to_owned(),
        }
    }

    /// Reads a setting from its name and value.
    ///
    /// # Errors
    /// [`Rejection::InvalidSetting`] for an unknown name or a value that is none or out of bounds.
    pub fn parse(name: &str, value: &str) -> Result<Self, Rejection> {
        let kind = Settings::default().all().into_iter().find(|s| s.name() == name);
        let Some(kind) = kind else {
            let names = Settings::default().all().map(|s| s.name()).join(", ");
            return Err(invalid(name, format!("there is no such setting; there are {names}")));
        };
        let count = || {
            let bounds = kind.bounds().expect("what is counted has bounds");
            match value.parse() {
                Ok(count) if bounds.contains(&count) => Ok(count),
                Err(error) if *error.kind() != IntErrorKind::PosOverflow => {
                    Err(invalid(name, format!("{value:?} is not a whole number")))
                }
                _ => Err(out_of_bounds(name, value, &bounds)),
            }
        };
        let small = || count().map(|count| u32::try_from(count).expect("what is in bounds is small"));
        Ok(match kind {
            Self::ArchiveDays(_) => Self::ArchiveDays(small()?),
            Self::ArchiveRequestsMax(_) => Self::ArchiveRequestsMax(count()?),
            Self::EventDays(_) => Self::EventDays(small()?),
            Self::EventsMax(_) => Self::EventsMax(count()?),
            Self::ReadConsistency(_) => Self::ReadConsistency(match value {
                "linearizable" => ReadConsistency::Linearizable,
                "stale" => ReadConsistency::Stale,
                _ => return Err(invalid(name, format!("{value:?} is neither linearizable nor stale"))),
            }),
            Self::IdempotencyHours(_) => Self::IdempotencyHours(small()?),
            Self::VariablesMax(_) => Self::VariablesMax(count()?),
            Self::SuspendedHours(_) => Self::SuspendedHours(small()?),
        })
    }

    /// Between which values it may be; `None` if it is no number.
    fn bounds(&self) -> Option<RangeInclusive<u64>> {
        match self {
            Self::ArchiveDays(_) | Self::EventDays(_) => Some(1..=3_650),
            Self::ArchiveRequestsMax(_) | Self::EventsMax(_) => Some(1_000..=100_000_000),
            Self::IdempotencyHours(_) => Some(1..=168),
            Self::VariablesMax(_) => Some(1..=10_000_000),
            Self::SuspendedHours(_) => Some(0..=8_760),
            Self::ReadConsistency(_) => None,
        }
    }

    fn check(&self) -> Result<(), Rejection> {
        let value = match *self {
            Self::ArchiveDays(n) | Self::EventDays(n) => n.into(),
            Self::IdempotencyHours(n) | Self::SuspendedHours(n) => n.into(),
            Self::ArchiveRequestsMax(n) | Self::EventsMax(n) | Self::VariablesMax(n) => n,
            Self::ReadConsistency(_) => return Ok(()),
        };
        match self.bounds() {
            Some(bounds) if !bounds.contains(&value) => {
                Err(out_of_bounds(self.name(), &value.to_string(), &bounds))
            }
            _ => Ok(()),
        }
    }
}

fn out_of_bounds(name: &str, value: &str, bounds: &RangeInclusive<u64>) -> Rejection {
    invalid(name, format!("{value} is not between {} and {}", bounds.start(), bounds.end()))
}

fn invalid(name: &str, reason: String) -> Rejection {
    Rejection::InvalidSetting { name: name.chars().take(100).collect(), reason }
}

/// Decides on `SetSetting`; the value it has already changes nothing.
pub(crate) fn set(settings: &Settings, setting: Setting) -> Result<(Answer, Vec<Event>), Rejection> {
    setting.check()?;
    let changed = settings.current(setting) != setting;
    Ok((Answer::Done, if changed { vec![Event::SettingChanged(setting)] } else { vec![] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_reads_back_from_its_name_and_value() {
        for setting in Settings::default().all() {
            assert_eq!(Setting::parse(setting.name(), &setting.value()), Ok(setting));
        }
        let stale = Setting::ReadConsistency(ReadConsistency::Stale);
        assert_eq!(Setting::parse("read_consistency", "stale"), Ok(stale));
    }

    #[test]
    fn a_setting_out_of_its_bounds_is_refused() {
        let cases = [
            ("archive_days", "0", "0 is not between 1 and 3650"),
            ("archive_days", "3651", "3651 is not between 1 and 3650"),
            ("archive_days", "4294967297", "4294967297 is not between 1 and 3650"),
            ("archive_days", "99999999999999999999", "99999999999999999999 is not between 1 and 3650"),
            ("archive_requests_max", "999", "999 is not between 1000 and 100000000"),
            ("event_days", "-1", "\"-1\" is not a whole number"),
            ("idempotency_hours", "169", "169 is not between 1 and 168"),
            ("variables_max", "1e6", "\"1e6\" is not a whole number"),
            ("read_consistency", "fresh", "\"fresh\" is neither linearizable nor stale"),
        ];
        for (name, value, reason) in cases {
            let refused = Rejection::InvalidSetting { name: name.to_owned(), reason: reason.to_owned() };
            assert_eq!(Setting::parse(name, value), Err(refused), "{name} = {value}");
        }
        assert!(Setting::parse("archive_dayz", "1").is_err());
    }

    #[test]
    fn a_command_cannot_bring_what_parsing_would_refuse() {
        assert!(set(&Settings::default(), Setting::VariablesMax(0)).is_err());
        assert!(set(&Settings::default(), Setting::IdempotencyHours(u32::MAX)).is_err());
    }
}
