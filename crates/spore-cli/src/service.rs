//! What stands for a service's name between members.

use spore_core::services::ServiceId;

/// The id of the service `name`, as the API has it: eight hexadecimal digits.
pub(crate) fn id(name: &str) -> String {
    ServiceId::of(name).to_string()
}
