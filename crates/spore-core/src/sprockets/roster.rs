//! The sprockets of a firmware, put together and checked before it runs.

use super::manifest::{Manifest, Setting};
use super::settings::SettingId;
use super::{MAX_SETTINGS, MAX_SPROCKETS, MAX_SUBSCRIPTIONS};
use crate::api::FieldName;
use crate::events::Topic;
use crate::services::{
    Catalogue, IDENTIFY, InvalidCatalogue, MAX_SERVICES, Service, check as check_services, is_name,
    is_summary,
};
use crate::tasks::{InvalidTasks, TaskKind, TaskSpec, Tasks, USER_TASKS_MAX, check as check_tasks};
use crate::time::Duration;
use core::fmt;

/// All sprockets of a firmware, and all services and tasks that it offers with them.
///
/// It is made in a `const`, so that what cannot be does not compile.
#[derive(Clone, Copy, Debug)]
pub struct Roster {
    sprockets: &'static [&'static Manifest],
    services: [Service; MAX_SERVICES],
    own_services: usize,
    all_services: usize,
    tasks: [TaskSpec; USER_TASKS_MAX],
    own_tasks: usize,
    all_tasks: usize,
}

/// What stands where there is no task.
const NO_TASK: TaskSpec = {
    let kind = TaskKind::OneShot { after: Duration::from_secs(1) };
    match TaskSpec::new("none", "", kind) {
        Ok(task) => task,
        Err(_) => unreachable!(),
    }
};

/// Why one firmware cannot have these sprockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidRoster {
    /// There are more than [`MAX_SPROCKETS`].
    TooManySprockets,
    /// They bring more than [`MAX_SERVICES`] services and clustered tasks, with those of the body.
    TooManyServices,
    /// They bring more than [`USER_TASKS_MAX`] tasks, with those of the body.
    TooManyTasks,
    /// They subscribe with more than [`MAX_SUBSCRIPTIONS`] filters.
    TooManySubscriptions,
    /// This one has more than [`MAX_SETTINGS`] settings.
    TooManySettings(&'static str),
    /// This is no name of a sprocket, or two have it.
    Name(&'static str),
    /// This is no filter of topics.
    Filter(&'static str),
    /// This setting has a name, a default or a summary that it cannot have, or one sprocket has two of the name.
    Setting(&'static str),
    /// Two services are called this, or have the same id as it.
    Service(&'static str),
    /// Two tasks are called this.
    Task(&'static str),
}

impl InvalidRoster {
    /// What is wrong, in words.
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooManySprockets => "a node has at most 8 sprockets",
            Self::TooManyServices => {
                "a node has at most 8 services and clustered tasks, `identify` among them"
            }
            Self::TooManyTasks => "a node has at most 12 tasks besides the system's",
            Self::TooManySubscriptions => "a node's sprockets subscribe with at most 16 filters",
            Self::TooManySettings(_) => "a sprocket has at most 8 settings",
            Self::Name(_) => {
                "a sprocket's name has 1 to 24 characters of a-z, 0-9 and '-', the first a letter, and is its own"
            }
            Self::Filter(_) => {
                "a subscription is a topic whose levels may be +, and the last one #"
            }
            Self::Setting(_) => {
                "a setting has a name as a service has, of its own, and a default in its range"
            }
            Self::Service(_) => "two services have one name, or names with one id",
            Self::Task(_) => "two tasks have one name, or one has the name of one of the system's",
        }
    }

    /// What it is about.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::TooManySettings(name)
            | Self::Name(name)
            | Self::Filter(name)
            | Self::Setting(name)
            | Self::Service(name)
            | Self::Task(name) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for InvalidRoster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        self.name().map_or(Ok(()), |name| write!(f, ": {name:?}"))
    }
}

impl core::error::Error for InvalidRoster {}

impl Roster {
    /// No sprockets, and what every body offers.
    pub const NONE: Self = Self {
        sprockets: &[],
        services: [IDENTIFY; MAX_SERVICES],
        own_services: 1,
        all_services: 1,
        tasks: [NO_TASK; USER_TASKS_MAX],
        own_tasks: 0,
        all_tasks: 0,
    };

    /// These sprockets, with the services and the tasks of the body, which come first.
    pub const fn new(
        services: &[Service],
        tasks: &[TaskSpec],
        sprockets: &'static [&'static Manifest],
    ) -> Result<Self, InvalidRoster> {
        if sprockets.len() > MAX_SPROCKETS {
            return Err(InvalidRoster::TooManySprockets);
        }
        if let Err(error) = check(sprockets) {
            return Err(error);
        }
        let mut roster = Self {
            sprockets,
            own_services: services.len(),
            all_services: services.len(),
            own_tasks: tasks.len(),
            all_tasks: tasks.len(),
            ..Self::NONE
        };
        let mut room: &mut [Service] = &mut roster.services;
        let mut beds: &mut [TaskSpec] = &mut roster.tasks;
        match (append(room, services), append(beds, tasks)) {
            (None, _) => return Err(InvalidRoster::TooManyServices),
            (_, None) => return Err(InvalidRoster::TooManyTasks),
            (Some(free), Some(empty)) => (room, beds) = (free, empty),
        }
        let mut rest = sprockets;
        while let [sprocket, tail @ ..] = rest {
            room = match append(room, sprocket.services) {
                Some(free) => free,
                None => return Err(InvalidRoster::TooManyServices),
            };
            beds = match append(beds, sprocket.tasks) {
                Some(free) => free,
                None => return Err(InvalidRoster::TooManyTasks),
            };
            rest = tail;
        }
        roster.all_services = MAX_SERVICES.saturating_sub(room.len());
        roster.all_tasks = USER_TASKS_MAX.saturating_sub(beds.len());
        let (all, _) = roster.services.split_at(roster.all_services);
        match check_services(all) {
            Ok(()) => (),
            Err(InvalidCatalogue::TooMany) => return Err(InvalidRoster::TooManyServices),
            Err(InvalidCatalogue::SameId(name)) => return Err(InvalidRoster::Service(name)),
        }
        let (all, _) = roster.tasks.split_at(roster.all_tasks);
        match check_tasks(all) {
            // Their ids travel with those of the services.
            Ok(()) if clustered(all).saturating_add(roster.all_services) > MAX_SERVICES => {
                Err(InvalidRoster::TooManyServices)
            }
            Ok(()) => Ok(roster),
            Err(InvalidTasks::TooMany) => Err(InvalidRoster::TooManyTasks),
            Err(InvalidTasks::SameName(name)) => Err(InvalidRoster::Task(name)),
        }
    }

    /// The sprockets, in the order in which they were given.
    pub const fn sprockets(&self) -> &'static [&'static Manifest] {
        self.sprockets
    }

    /// What the node offers: what the body does, and what the sprockets do.
    pub const fn catalogue(&'static self) -> Catalogue {
        Catalogue::of_checked(self.services.split_at(self.all_services).0)
    }

    /// The user tasks of the node: those of the body, and those of the sprockets.
    pub const fn tasks(&'static self) -> Tasks {
        Tasks::of_checked(self.tasks.split_at(self.all_tasks).0)
    }

    /// Whose service stands at `index` in the [`catalogue`](Self::catalogue): the place of the sprocket. `None` if it
    /// is the body's.
    pub fn whose_service(&self, index: usize) -> Option<usize> {
        self.whose(index.checked_sub(self.own_services)?, |sprocket| sprocket.services.len())
    }

    /// Whose task stands at `index` in [`tasks`](Self::tasks), as for services.
    pub fn whose_task(&self, index: usize) -> Option<usize> {
        self.whose(index.checked_sub(self.own_tasks)?, |sprocket| sprocket.tasks.len())
    }

    fn whose(&self, index: usize, count: fn(&Manifest) -> usize) -> Option<usize> {
        let mut before = 0usize;
        self.sprockets.iter().position(|sprocket| {
            before = before.saturating_add(count(sprocket));
            index < before
        })
    }
}

/// Puts `items` into the beginning of `room`; the rest of it, or `None` if there is too little.
const fn append<'r, T: Copy>(room: &'r mut [T], items: &[T]) -> Option<&'r mut [T]> {
    let (mut room, mut items) = (room, items);
    while let [item, others @ ..] = items {
        let taken = room;
        match taken {
            [place, free @ ..] => {
                *place = *item;
                room = free;
            }
            [] => return None,
        }
        items = others;
    }
    Some(room)
}

/// How many of these tasks are clustered.
const fn clustered(tasks: &[TaskSpec]) -> usize {
    let (mut rest, mut count) = (tasks, 0usize);
    while let [task, others @ ..] = rest {
        if task.is_clustered() {
            count = count.saturating_add(1);
        }
        rest = others;
    }
    count
}

/// What each sprocket must keep to, and all together.
const fn check(sprockets: &[&Manifest]) -> Result<(), InvalidRoster> {
    let (mut rest, mut filters) = (sprockets, 0usize);
    while let [sprocket, tail @ ..] = rest {
        if !is_name(sprocket.name) || has_sprocket(tail, sprocket.name) {
            return Err(InvalidRoster::Name(sprocket.name));
        }
        if let Err(error) = check_settings(sprocket.name, sprocket.settings) {
            return Err(error);
        }
        let mut subscriptions = sprocket.subscriptions;
        while let [filter, others @ ..] = subscriptions {
            if !is_filter(filter.as_bytes()) {
                return Err(InvalidRoster::Filter(filter));
            }
            subscriptions = others;
        }
        filters = filters.saturating_add(sprocket.subscriptions.len());
        rest = tail;
    }
    if filters > MAX_SUBSCRIPTIONS { Err(InvalidRoster::TooManySubscriptions) } else { Ok(()) }
}

const fn check_settings(sprocket: &'static str, settings: &[Setting]) -> Result<(), InvalidRoster> {
    if settings.len() > MAX_SETTINGS {
        return Err(InvalidRoster::TooManySettings(sprocket));
    }
    let mut rest = settings;
    while let [setting, others @ ..] = rest {
        let id = SettingId::of(sprocket, setting.name);
        let mut more = others;
        while let [other, tail @ ..] = more {
            if id.is(SettingId::of(sprocket, other.name)) {
                return Err(InvalidRoster::Setting(setting.name));
            }
            more = tail;
        }
        // One that an answer cuts is none of a setting.
        let named = is_name(setting.name) && setting.name.len() < FieldName::MAX;
        if !named || !is_summary(setting.summary) || !setting.takes(&setting.default()) {
            return Err(InvalidRoster::Setting(setting.name));
        }
        rest = others;
    }
    Ok(())
}

const fn has_sprocket(sprockets: &[&Manifest], name: &str) -> bool {
    let mut rest = sprockets;
    while let [sprocket, tail @ ..] = rest {
        if is_same(sprocket.name.as_bytes(), name.as_bytes()) {
            return true;
        }
        rest = tail;
    }
    false
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    match (a, b) {
        ([], []) => true,
        ([x, a @ ..], [y, b @ ..]) => *x == *y && is_same(a, b),
        _ => false,
    }
}

/// Whether this is a [`Filter`](crate::events::Filter), found out when the program is built.
pub(super) const fn is_filter(text: &[u8]) -> bool {
    let (mut rest, mut level) = (text, 0usize);
    if text.len() > Topic::MAX || matches!(text, [] | [b'$', ..]) {
        return false;
    }
    while let [byte, tail @ ..] = rest {
        match byte {
            // It is a level, and the last one.
            b'#' => return level == 0 && tail.is_empty(),
            b'+' if level != 0 || !matches!(tail, [] | [b'/', ..]) => return false,
            b'/' if level == 0 => return false,
            b'"' | b'\\' | 0..=b' ' | 0x7F.. => return false,
            _ => (),
        }
        level = if *byte == b'/' { 0 } else { level.saturating_add(1) };
        rest = tail;
    }
    level != 0
}
