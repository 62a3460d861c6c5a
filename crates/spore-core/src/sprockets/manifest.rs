//! What a sprocket brings, as it is fixed when the program is built.

use super::Value;
use crate::services::{Service, is_summary};
use crate::tasks::TaskSpec;
use core::ops::RangeInclusive;

/// What a sprocket brings. All of it is static, and checked when a [`Roster`](super::Roster) is made of it.
#[derive(Clone, Copy, Debug)]
pub struct Manifest {
    pub(super) name: &'static str,
    pub(super) tasks: &'static [TaskSpec],
    pub(super) services: &'static [Service],
    pub(super) subscriptions: &'static [&'static str],
    pub(super) settings: &'static [Setting],
}

impl Manifest {
    /// A sprocket that brings nothing yet. Its name is as that of a [`Service`]: 1 to 24 characters of `a` to
    /// `z`, `0` to `9` and `-`, the first a letter.
    pub const fn new(name: &'static str) -> Self {
        Self { name, tasks: &[], services: &[], subscriptions: &[], settings: &[] }
    }

    /// What it does now and then.
    #[must_use]
    pub const fn runs(self, tasks: &'static [TaskSpec]) -> Self {
        Self { tasks, ..self }
    }

    /// What it offers over HTTP.
    #[must_use]
    pub const fn offers(self, services: &'static [Service]) -> Self {
        Self { services, ..self }
    }

    /// The topics of the events that it is handed, as MQTT's filters. An event that matches several is handed over
    /// once.
    #[must_use]
    pub const fn hears(self, filters: &'static [&'static str]) -> Self {
        Self { subscriptions: filters, ..self }
    }

    /// What an operator can set.
    #[must_use]
    pub const fn has(self, settings: &'static [Setting]) -> Self {
        Self { settings, ..self }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What an operator can set.
    pub(crate) const fn settings(&self) -> &'static [Setting] {
        self.settings
    }

    /// The topics that it wants, as filters.
    pub const fn subscriptions(&self) -> &'static [&'static str] {
        self.subscriptions
    }

    /// What it does now and then.
    pub const fn tasks(&self) -> &'static [TaskSpec] {
        self.tasks
    }

    /// What it offers.
    pub const fn services(&self) -> &'static [Service] {
        self.services
    }

    /// The setting that is called `name`.
    pub fn setting(&self, name: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }
}

/// Something that an operator can set: a small value with a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) summary: &'static str,
}

/// Which values a setting can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Flag(bool),
    Number { default: i32, least: i32, most: i32 },
    Text(&'static str),
}

impl Setting {
    /// The most bytes of a text.
    pub const TEXT_MAX: usize = 32;

    /// A truth value. Names and summaries of settings are as those of a [`Service`].
    pub const fn flag(name: &'static str, default: bool, summary: &'static str) -> Self {
        Self { name, kind: Kind::Flag(default), summary }
    }

    /// A whole number in `range`, in which `default` must be.
    pub const fn number(
        name: &'static str,
        default: i32,
        range: RangeInclusive<i32>,
        summary: &'static str,
    ) -> Self {
        let (least, most) = (*range.start(), *range.end());
        Self { name, kind: Kind::Number { default, least, most }, summary }
    }

    /// A text of at most [`TEXT_MAX`](Self::TEXT_MAX) bytes of printable ASCII without `"` and `\\`.
    pub const fn text(name: &'static str, default: &'static str, summary: &'static str) -> Self {
        Self { name, kind: Kind::Text(default), summary }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it is for, in a few words.
    pub const fn summary(&self) -> &'static str {
        self.summary
    }

    /// The least and the greatest number that it takes.
    pub(crate) const fn range(&self) -> Option<(i32, i32)> {
        match self.kind {
            Kind::Number { least, most, .. } => Some((least, most)),
            Kind::Flag(_) | Kind::Text(_) => None,
        }
    }

    /// What it has unless it is set.
    pub(crate) const fn default(&self) -> Value<'static> {
        match self.kind {
            Kind::Flag(flag) => Value::Bool(flag),
            Kind::Number { default, .. } => Value::Number(default),
            Kind::Text(text) => Value::Text(text),
        }
    }

    /// Whether it can have this value.
    pub(crate) const fn takes(&self, value: &Value<'_>) -> bool {
        match (self.kind, value) {
            (Kind::Flag(_), Value::Bool(_)) => true,
            (Kind::Number { least, most, .. }, Value::Number(number)) => {
                least <= *number && *number <= most
            }
            (Kind::Text(_), Value::Text(text)) => text.len() <= Self::TEXT_MAX && is_summary(text),
            _ => false,
        }
    }
}
