//! What stands for a service's name between members.

/// The id of the service `name`, as eight hexadecimal digits: FNV-1a.
pub(crate) fn id(name: &str) -> String {
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}
