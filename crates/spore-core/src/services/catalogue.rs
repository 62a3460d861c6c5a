//! What a node itself offers.

use super::{MAX_SERVICES, ServiceId, ServiceIds};
use crate::api::{Method, Methods, Policy};
use core::fmt;

/// A service that this node offers at `/api/services/NAME` and below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    name: &'static str,
    policy: Policy,
    methods: Methods,
    summary: &'static str,
}

/// Why something cannot be a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidService {
    /// The name has another length than 1 to [`Service::NAME_MAX`], a character other than `a` to
    /// `z`, `0` to `9` and `-`, or does not begin with a letter.
    Name,
    /// The summary is longer than [`Service::SUMMARY_MAX`] bytes, or has a character other than
    /// printable ASCII without `"` and `\`.
    Summary,
    /// The policy is neither [`Policy::Open`] nor [`Policy::Signed`]: a service must declare one of
    /// them.
    Policy,
}

impl fmt::Display for InvalidService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => {
                "a service's name has 1 to 24 characters of a-z, 0-9 and '-', the first a letter"
            }
            Self::Summary => {
                "a service's summary has at most 64 printable ASCII characters but no \" and \\"
            }
            Self::Policy => "a service's policy is open or signed",
        })
    }
}

impl core::error::Error for InvalidService {}

impl Service {
    /// The most bytes of a name.
    pub const NAME_MAX: usize = 24;
    /// The most bytes of a summary.
    pub const SUMMARY_MAX: usize = 64;

    /// The service `name`, which answers `methods` to those whom `policy` lets in. One that answers
    /// `GET` is asked the same for `HEAD`.
    ///
    /// Names are part of URLs and are typed by people, so they are as plain as can be: lower case
    /// only, since two names that differ in case would be taken for one; a letter first, so that no name looks
    /// like a number or an option.
    pub const fn new(
        name: &'static str,
        policy: Policy,
        methods: Methods,
        summary: &'static str,
    ) -> Result<Self, InvalidService> {
        if !is_name(name) {
            return Err(InvalidService::Name);
        }
        if !is_summary(summary) {
            return Err(InvalidService::Summary);
        }
        if matches!(policy, Policy::Declared | Policy::Provisioning) {
            return Err(InvalidService::Policy);
        }
        Ok(Self { name, policy, methods, summary })
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Who may call it.
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// The methods that it answers.
    pub const fn methods(&self) -> Methods {
        self.methods
    }

    /// What it does, in a few words.
    pub const fn summary(&self) -> &'static str {
        self.summary
    }

    /// Its id.
    pub const fn id(&self) -> ServiceId {
        ServiceId::of(self.name)
    }
}

/// The service that every body offers: a `POST` makes the node show itself to who stands before it,
/// or reads its log, and answers `{"hostname":"…","identified":true}`.
pub const IDENTIFY: Service = Service {
    name: "identify",
    policy: Policy::Signed,
    methods: Methods::NONE.with(Method::Post),
    summary: "Shows which node this is",
};

/// Whether a service can be called `name`.
pub(crate) const fn is_name(name: &str) -> bool {
    let mut rest = match name.as_bytes() {
        [b'a'..=b'z', rest @ ..] if name.len() <= Service::NAME_MAX => rest,
        _ => return false,
    };
    while let [byte, tail @ ..] = rest {
        if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return false;
        }
        rest = tail;
    }
    true
}

/// Whether a service can have this summary.
pub(crate) const fn is_summary(summary: &str) -> bool {
    let mut rest = summary.as_bytes();
    while let [byte, tail @ ..] = rest {
        if !matches!(byte, b' '..=b'~') || *byte == b'"' || *byte == b'\\' {
            return false;
        }
        rest = tail;
    }
    summary.len() <= Service::SUMMARY_MAX
}

/// All services of one node: at most [`MAX_SERVICES`], with different ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Catalogue(&'static [Service]);

/// Why a node cannot offer these services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidCatalogue {
    /// There are more than [`MAX_SERVICES`].
    TooMany,
    /// Two have the same name, or different names with the same id; this is one of them.
    SameId(&'static str),
}

impl fmt::Display for InvalidCatalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "a node offers at most {MAX_SERVICES} services"),
            Self::SameId(name) => {
                write!(f, "two services are called {name}, or have the same id as it; rename one")
            }
        }
    }
}

impl core::error::Error for InvalidCatalogue {}

impl Catalogue {
    /// No services.
    pub const EMPTY: Self = Self(&[]);

    /// `services`, if one node can offer them all.
    pub const fn new(services: &'static [Service]) -> Result<Self, InvalidCatalogue> {
        match check(services) {
            Ok(()) => Ok(Self(services)),
            Err(error) => Err(error),
        }
    }

    /// Services that were [checked](check).
    pub(crate) const fn of_checked(services: &'static [Service]) -> Self {
        Self(services)
    }

    /// The services, in the order in which they were given.
    pub const fn services(&self) -> &'static [Service] {
        self.0
    }

    /// The service that is called `name`, and its place among the [`services`](Self::services).
    pub fn find(&self, name: &str) -> Option<(usize, &'static Service)> {
        self.0.iter().enumerate().find(|(_, service)| service.name == name)
    }

    /// The name of the service with this id.
    pub fn name(&self, id: ServiceId) -> Option<&'static str> {
        self.0.iter().find(|service| service.id() == id).map(|service| service.name)
    }

    /// The ids, as they are told to others.
    pub fn ids(&self) -> ServiceIds {
        let mut ids = ServiceIds::EMPTY;
        for service in self.0 {
            // They are different, and there is room for as many.
            ids.insert(service.id());
        }
        ids
    }
}

/// Whether one node can offer all these services.
pub(crate) const fn check(services: &[Service]) -> Result<(), InvalidCatalogue> {
    if services.len() > MAX_SERVICES {
        return Err(InvalidCatalogue::TooMany);
    }
    let mut rest = services;
    while let [service, tail @ ..] = rest {
        let mut others = tail;
        while let [other, more @ ..] = others {
            if u32::from_be_bytes(service.id().0) == u32::from_be_bytes(other.id().0) {
                return Err(InvalidCatalogue::SameId(service.name));
            }
            others = more;
        }
        rest = tail;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, IDENTIFY, InvalidCatalogue, InvalidService, Service};
    use crate::api::{Method, Methods, Policy};
    use std::boxed::Box;
    use std::format;
    use std::vec::Vec;

    const GET: Methods = Methods::NONE.with(Method::Get);

    fn service(name: &'static str) -> Service {
        Service::new(name, Policy::Open, GET, "").unwrap()
    }

    #[test]
    fn names_are_plain() {
        let Service { name, policy, methods, summary } = IDENTIFY;
        assert_eq!(Service::new(name, policy, methods, summary), Ok(IDENTIFY));
        for policy in [Policy::Declared, Policy::Provisioning] {
            assert_eq!(Service::new("a", policy, GET, ""), Err(InvalidService::Policy));
        }
        for name in ["a", "relay", "relay-2", "abcdefghijklmnopqrstuvwx", "a--", "x0"] {
            assert!(Service::new(name, Policy::Open, GET, "").is_ok(), "{name}");
        }
        for name in [
            "",
            "-a",
            "2a",
            "A",
            "aB",
            "a_b",
            "a.b",
            "a/b",
            "ä",
            "a b",
            "abcdefghijklmnopqrstuvwxy",
        ] {
            assert_eq!(Service::new(name, Policy::Open, GET, ""), Err(InvalidService::Name));
        }
    }

    #[test]
    fn summaries_fit_a_document_as_they_are() {
        let longest: &'static str = Box::leak("x".repeat(Service::SUMMARY_MAX).into_boxed_str());
        let longer: &'static str = Box::leak("x".repeat(Service::SUMMARY_MAX + 1).into_boxed_str());
        assert!(Service::new("a", Policy::Open, GET, longest).is_ok());
        for summary in [longer, "a \"b\"", "a\\b", "a\nb", "ä"] {
            assert_eq!(Service::new("a", Policy::Open, GET, summary), Err(InvalidService::Summary));
        }
    }

    #[test]
    fn a_catalogue_has_at_most_eight_services_with_different_ids() {
        let names: Vec<&'static str> =
            (0..9).map(|n| &*Box::leak(format!("s{n}").into_boxed_str())).collect();
        let nine: &'static [Service] =
            names.iter().map(|name| service(name)).collect::<Vec<_>>().leak();
        assert_eq!(Catalogue::new(nine), Err(InvalidCatalogue::TooMany));
        let eight = Catalogue::new(&nine[..8]).unwrap();
        let ids = eight.ids();
        assert_eq!(ids.as_slice().len(), 8);
        assert!(ids.as_slice().is_sorted());
        assert_eq!(eight.find("s3").map(|(index, found)| (index, found.name())), Some((3, "s3")));
        assert_eq!(eight.find("s8"), None);
        let twice: &'static [Service] = [service("a"), service("b"), service("a")].to_vec().leak();
        assert_eq!(Catalogue::new(twice), Err(InvalidCatalogue::SameId("a")));
        // Two words with one id.
        let alike: &'static [Service] = [service("costarring"), service("liquid")].to_vec().leak();
        assert_eq!(Catalogue::new(alike), Err(InvalidCatalogue::SameId("costarring")));
    }
}
