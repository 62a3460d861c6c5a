//! What can be wrong with a request.

use super::Methods;
use crate::events::{InvalidTopic, PublishError};
use crate::ota::Refused;
use core::convert::Infallible;
use core::str::FromStr;
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

/// Why a request was not carried out. Nothing was changed by it, unless the variant says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// 400: the client's message is not HTTP, or contradicts itself.
    BadRequest,
    /// 400: the body is not a JSON object, or is nested too deeply.
    InvalidJson,
    /// 400: this field of the body, or parameter of the query, has a wrong type or value.
    InvalidField(&'static str),
    /// 400: what is to be published has no topic that there can be.
    InvalidTopic,
    /// 400: what is to be published has a topic of the system's own.
    ReservedTopic,
    /// 400: what is to be published says too much.
    LongPayload,
    /// 400: the body has a field, or the query a parameter, that is not known.
    UnknownField(FieldName),
    /// 401: the request is not signed.
    CredentialsMissing,
    /// 401: the credentials are not as they must be, or are there twice.
    CredentialsMalformed,
    /// 401: the MAC is not that of this request.
    CredentialsInvalid,
    /// 401: the nonce is not of this node and boot, is too old, or was used.
    NonceStale,
    /// 403: the node has no cluster key, so nobody can sign for it.
    Unclaimed,
    /// 403: the node's claim is damaged, so nobody can tell whose it is.
    ClaimDamaged,
    /// 403: there is a release key, and it has not signed the new one.
    ReleaseKeyUnsigned,
    /// 403: the node has no release key, so nobody can sign images or plans for it.
    NoReleaseKey,
    /// 403: the release key has not signed the plan of a rollout.
    RolloutUnsigned,
    /// 403: what is sealed is not for this node, or not newer than what it has.
    NotForThisNode,
    /// 404: there is no such path.
    NotFound,
    /// 404: no crash is on record.
    NoCrash,
    /// 404: there is no rollout.
    NoRollout,
    /// 405: the path is there, but not with this method. These are the methods that it has.
    MethodNotAllowed(Methods),
    /// 408: the client took too long to send its request.
    RequestTimeout,
    /// 409: the settings have another version than the change is meant for.
    VersionConflict,
    /// 409: something of the kind is being changed.
    ChangeUnderWay,
    /// 409: settings were lost, so that no release key is taken.
    SettingsDamaged,
    /// 409: there is a rollout with this id or a higher one.
    RolloutOutdated,
    /// 409: the node has no radio.
    NoRadio,
    /// 409: a scan would throw out a client of the access point, and there was none before.
    AccessPointInUse,
    /// 409: the task is one of the engine's that cannot be changed.
    TaskProtected,
    /// 409: the task runs already.
    TaskUnderWay,
    /// 409: there is no room for one more value of a sprocket's settings.
    SettingsFull,
    /// 409: an image is coming already.
    UpdateUnderWay,
    /// 409: a rollout has its image in the slot, or is fetching it.
    SlotInUse,
    /// 409: the image that runs is on trial, or an older one than should.
    NotConfirmed,
    /// The image was refused.
    Image(Refused),
    /// 413: the body is larger than this node takes.
    PayloadTooLarge,
    /// 414: the request line is longer than this node takes.
    UriTooLong,
    /// 421: through the access point, under a name that is not the node's.
    Misdirected,
    /// 429: more events were published than the cluster can carry.
    TooManyEvents,
    /// 431: the head is larger than this node takes, or has more fields.
    HeadTooLarge,
    /// 500: the change could not be made durable, so the old state holds.
    StoreFailed,
    /// 500: a service of this node has broken the rules of its answers.
    ServiceBroken,
    /// 500: the sprocket of the service has panicked over this request, and is stopped. What it has done of it stays done.
    SprocketFailed,
    /// 501: the method, or the coding of the body, is unknown.
    NotImplemented,
    /// 409: the node has no slots for images.
    NoSlots,
    /// 503: all connections are in use.
    Busy,
    /// 503: another member is being asked how it is.
    MemberAsked,
    /// 503: as many event streams are open as this node serves at once.
    StreamsBusy,
    /// 503: the node is starting, or leaving.
    NotReady,
    /// 503: the outcome is not known yet. The request may still be carried out.
    Unfinished,
    /// 503: the sprocket that the service is of was stopped before.
    SprocketStopped,
    /// 504: a service of this node has not answered in time. It may still carry out the request.
    ServiceTimeout,
    /// 505: not HTTP/1.0 or 1.1.
    VersionNotSupported,
}

impl Error {
    /// The status code (RFC 9110, section 15; RFC 6585 for 431).
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest
            | Self::InvalidJson
            | Self::InvalidField(_)
            | Self::InvalidTopic
            | Self::ReservedTopic
            | Self::LongPayload
            | Self::UnknownField(_) => 400,
            Self::CredentialsMissing
            | Self::CredentialsMalformed
            | Self::CredentialsInvalid
            | Self::NonceStale => 401,
            Self::Unclaimed
            | Self::ClaimDamaged
            | Self::ReleaseKeyUnsigned
            | Self::NoReleaseKey
            | Self::RolloutUnsigned
            | Self::NotForThisNode => 403,
            Self::NotFound | Self::NoCrash | Self::NoRollout => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::RequestTimeout => 408,
            Self::VersionConflict
            | Self::ChangeUnderWay
            | Self::SettingsDamaged
            | Self::RolloutOutdated
            | Self::NoRadio
            | Self::AccessPointInUse
            | Self::TaskProtected
            | Self::TaskUnderWay
            | Self::SettingsFull
            | Self::UpdateUnderWay
            | Self::SlotInUse
            | Self::NotConfirmed
            | Self::NoSlots => 409,
            Self::Image(refused) => refused.status(),
            Self::PayloadTooLarge => 413,
            Self::UriTooLong => 414,
            Self::Misdirected => 421,
            Self::TooManyEvents => 429,
            Self::HeadTooLarge => 431,
            Self::StoreFailed | Self::ServiceBroken | Self::SprocketFailed => 500,
            Self::NotImplemented => 501,
            Self::Busy
            | Self::MemberAsked
            | Self::StreamsBusy
            | Self::NotReady
            | Self::Unfinished
            | Self::SprocketStopped => 503,
            Self::ServiceTimeout => 504,
            Self::VersionNotSupported => 505,
        }
    }

    /// Whether the request was refused for its credentials.
    pub const fn is_of_credentials(self) -> bool {
        matches!(
            self,
            Self::CredentialsMissing
                | Self::CredentialsMalformed
                | Self::CredentialsInvalid
                | Self::NonceStale
                | Self::Unclaimed
                | Self::ClaimDamaged
        )
    }

    /// A word for programs. It never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::InvalidJson => "invalid_json",
            Self::InvalidField(_)
            | Self::InvalidTopic
            | Self::ReservedTopic
            | Self::LongPayload => "invalid_field",
            Self::UnknownField(_) => "unknown_field",
            Self::CredentialsMissing => "credentials_missing",
            Self::CredentialsMalformed => "credentials_malformed",
            Self::CredentialsInvalid => "credentials_invalid",
            Self::NonceStale => "nonce_stale",
            Self::Unclaimed => "unclaimed",
            Self::ClaimDamaged => "claim_damaged",
            Self::ReleaseKeyUnsigned => "release_key_unsigned",
            Self::NoReleaseKey => "no_release_key",
            Self::NotFound => "not_found",
            Self::NoCrash => "no_crash",
            Self::NoRollout => "no_rollout",
            Self::RolloutOutdated => "rollout_outdated",
            Self::RolloutUnsigned => "rollout_unsigned",
            Self::NotForThisNode => "not_for_this_node",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::VersionConflict => "version_conflict",
            Self::ChangeUnderWay => "change_under_way",
            Self::SettingsDamaged => "settings_damaged",
            Self::NoRadio => "no_radio",
            Self::AccessPointInUse => "access_point_in_use",
            Self::TaskProtected => "task_protected",
            Self::TaskUnderWay => "task_under_way",
            Self::SettingsFull => "settings_full",
            Self::UpdateUnderWay => "update_under_way",
            Self::SlotInUse => "slot_in_use",
            Self::NotConfirmed => Refused::Unconfirmed.code(),
            Self::Image(refused) => refused.code(),
            Self::NoSlots => "no_slots",
            Self::SprocketFailed => "sprocket_failed",
            Self::SprocketStopped => "sprocket_stopped",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UriTooLong => "uri_too_long",
            Self::Misdirected => "misdirected",
            Self::TooManyEvents => "too_many_events",
            Self::HeadTooLarge => "head_too_large",
            Self::StoreFailed => "store_failed",
            Self::ServiceBroken => "service_broken",
            Self::ServiceTimeout => "service_timeout",
            Self::NotImplemented => "not_implemented",
            Self::Busy | Self::MemberAsked | Self::StreamsBusy => "busy",
            Self::NotReady => "not_ready",
            Self::Unfinished => "unfinished",
            Self::VersionNotSupported => "version_not_supported",
        }
    }

    /// A sentence for people.
    pub const fn message(self) -> &'static str {
        match self {
            Self::BadRequest => "the request is not valid HTTP",
            Self::InvalidJson => "the body is not a JSON object, or is nested too deeply",
            Self::InvalidField(_) => "this field has a wrong type or value",
            Self::InvalidTopic => InvalidTopic::RULE,
            Self::ReservedTopic => {
                "cluster, events, network, node, ota and tasks are the system's own topics"
            }
            Self::LongPayload => "a payload has at most 256 bytes",
            Self::UnknownField(_) => "this field is not known here",
            Self::CredentialsMissing => "this request must be signed with the cluster key",
            Self::CredentialsMalformed => {
                "the credentials must be one nonce and one mac, in lower-case hexadecimal digits"
            }
            Self::CredentialsInvalid => {
                "the mac is not that of this request under this cluster's key, which may have been replaced"
            }
            Self::NonceStale => "the nonce is unknown, expired or used; get a new one",
            Self::Unclaimed => "this node has no cluster key yet",
            Self::ClaimDamaged => "whose this node is was lost; see SECURITY.md for how to go on",
            Self::ReleaseKeyUnsigned => "the present release key has not signed the new one",
            Self::NoReleaseKey => {
                "this node has no release key yet; see spore config set-release-key"
            }
            Self::NotFound => "there is nothing at this path; /api/node/status lists what there is",
            Self::NoCrash => "no crash of this node is on record",
            Self::NoRollout => "there is no rollout",
            Self::RolloutOutdated => {
                "there is a rollout with this id or a higher one; plan again, with a higher number"
            }
            Self::RolloutUnsigned => "this cluster's release key has not signed the plan",
            Self::NotForThisNode => {
                "what is sealed is not for this node, or not newer than what it has"
            }
            Self::MethodNotAllowed(_) => "this path has other methods; see the Allow field",
            Self::RequestTimeout => "the request did not arrive in time",
            Self::VersionConflict => "the settings have another version; read them again",
            Self::ChangeUnderWay => "something is being changed; try again",
            Self::SettingsDamaged => "settings were lost; see SECURITY.md for how to go on",
            Self::NoRadio => "this node has no radio",
            Self::AccessPointInUse => {
                "a client is on the access point, whom a scan would throw out; try again later"
            }
            Self::TaskProtected => "this task keeps the node in the cluster; it cannot be changed",
            Self::TaskUnderWay => "the task runs already; try again when it is over",
            Self::SettingsFull => {
                "there is no room for one more value; set others to their defaults"
            }
            Self::UpdateUnderWay => "an image is coming already",
            Self::SlotInUse => "a rollout needs the slot",
            Self::NotConfirmed => Refused::Unconfirmed.message(),
            Self::Image(refused) => refused.message(),
            Self::NoSlots => "this node takes no updates: it has no slots for images",
            Self::SprocketFailed => {
                "the sprocket of this service has panicked over it and is stopped; the status says why"
            }
            Self::SprocketStopped => {
                "the sprocket of this service was stopped; the status says why"
            }
            Self::PayloadTooLarge => {
                "the body is larger than there is room for; 2,048 bytes are the most"
            }
            Self::UriTooLong => "the target has more than 512 bytes",
            Self::Misdirected => {
                "the node does not answer to this name, or not to pages from elsewhere"
            }
            Self::TooManyEvents => "more events than the cluster can carry; try again later",
            Self::HeadTooLarge => "the request head has more than 1,024 bytes or 32 fields",
            Self::StoreFailed => "the change could not be stored; the old settings hold",
            Self::ServiceBroken => "the service's answer is not as it must be",
            Self::ServiceTimeout => "the service has not answered in time",
            Self::NotImplemented => "this method or transfer coding is not known here",
            Self::Busy => "all connections are in use; try again",
            Self::MemberAsked => "another member is being asked; try again",
            Self::StreamsBusy => "all event streams of this node are in use; try again, or poll",
            Self::NotReady => "the node is starting or leaving; try again",
            Self::Unfinished => "the outcome is not known yet; read the state again",
            Self::VersionNotSupported => "only HTTP/1.0 and HTTP/1.1 are spoken here",
        }
    }

    /// 400: the body has the field `name`, which is not known.
    pub(crate) fn unknown_field(name: &str) -> Self {
        let Ok(name) = name.parse();
        Self::UnknownField(name)
    }

    /// The `Allow` field.
    pub const fn allow(self) -> Option<Methods> {
        match self {
            Self::MethodNotAllowed(methods) => Some(methods),
            _ => None,
        }
    }

    /// The `Retry-After` field in seconds.
    pub const fn retry_after(self) -> Option<u16> {
        match self {
            Self::Busy | Self::MemberAsked | Self::NotReady | Self::Unfinished => Some(1),
            // Others are open for as long as their readers like.
            Self::StreamsBusy => Some(5),
            // An event that may not be pushed out yet is old enough then.
            Self::TooManyEvents => Some(4),
            _ => None,
        }
    }

    /// The field or parameter that is to blame.
    fn field(&self) -> Option<&str> {
        match self {
            Self::InvalidField(name) => Some(name),
            Self::InvalidTopic | Self::ReservedTopic => Some("topic"),
            Self::LongPayload => Some("payload"),
            Self::UnknownField(name) => Some(name.as_str()),
            _ => None,
        }
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Topic => Self::InvalidTopic,
            PublishError::Reserved => Self::ReservedTopic,
            PublishError::Payload => Self::LongPayload,
            PublishError::Retained => Self::InvalidField("retained"),
            PublishError::Unclaimed => Self::Unclaimed,
            PublishError::NotReady => Self::NotReady,
            PublishError::TooMany => Self::TooManyEvents,
        }
    }
}

/// The beginning of a field's name: whole characters, at most [`FieldName::MAX`] bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FieldName {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl FieldName {
    /// The most bytes that are kept of a name.
    pub const MAX: usize = 23;

    /// The name, as far as it was kept.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

impl core::fmt::Debug for FieldName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(self.as_str(), f)
    }
}

impl FromStr for FieldName {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        let kept = name.get(..name.floor_char_boundary(Self::MAX)).unwrap_or_default();
        let mut bytes = [0; Self::MAX];
        for (to, from) in bytes.iter_mut().zip(kept.bytes()) {
            *to = from;
        }
        Ok(Self { bytes, len: u8::try_from(kept.len()).unwrap_or(0) })
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let field = self.field();
        let mut fields =
            serializer.serialize_struct("Error", if field.is_some() { 3 } else { 2 })?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("message", self.message())?;
        if let Some(field) = field {
            fields.serialize_field("field", field)?;
        }
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::Error;
    use crate::events::Topic;
    use crate::wire::EventRecord;
    use std::format;

    #[test]
    fn what_is_said_of_topics_and_payloads_is_so() {
        let topic = format!("1 to {} bytes", Topic::MAX);
        assert!(Error::InvalidTopic.message().contains(&topic));
        let payload = format!("at most {} bytes", EventRecord::MAX_PAYLOAD);
        assert!(Error::LongPayload.message().contains(&payload));
        let (levels, _) = Error::ReservedTopic.message().split_once(" are ").unwrap();
        let named: std::vec::Vec<_> =
            levels.split([',', ' ']).filter(|it| !it.is_empty() && *it != "and").collect();
        assert_eq!(named, Topic::RESERVED);
    }
}
