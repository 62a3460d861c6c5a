//! The boot parameters that QEMU leaves in memory: a list of tagged records.

/// Start of the list, in the form in which the machine's entry code gets it.
pub type BootParams = *const u32;

const TAG_FIRST: u32 = 0x7B0B;
const TAG_LAST: u32 = 0x7E0B;
const TAG_COMMAND_LINE: u32 = 0x1001;

/// More records than QEMU ever writes; a list that is longer is none.
const RECORDS_MAX: usize = 16;

/// The text that QEMU was given with `-append`, or nothing if there is none or it is not UTF-8.
///
/// # Safety
/// `params` must be null or point at a list of boot parameters that stays as it is.
pub unsafe fn command_line(params: BootParams) -> &'static str {
    let mut record = params;
    // SAFETY: the caller vouches for the list, if there is one.
    if record.is_null() || unsafe { record.read() } & 0xFFFF != TAG_FIRST {
        return "";
    }
    for _ in 0..RECORDS_MAX {
        // SAFETY: the caller vouches for the list; its last record ends the loop.
        let head = unsafe { record.read() };
        let (tag, len) = (head & 0xFFFF, (head >> 16) as usize);
        // SAFETY: the payload of a record follows its head, and then the next record.
        let payload = unsafe { record.add(1) };
        if tag == TAG_COMMAND_LINE {
            // SAFETY: as above; every byte pattern is a valid `u8`.
            let bytes = unsafe { core::slice::from_raw_parts(payload.cast::<u8>(), len) };
            let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(len);
            return core::str::from_utf8(&bytes[..end]).unwrap_or("");
        }
        if tag == TAG_LAST {
            break;
        }
        // SAFETY: as above; QEMU pads payloads to whole words.
        record = unsafe { payload.byte_add(len) };
    }
    ""
}
