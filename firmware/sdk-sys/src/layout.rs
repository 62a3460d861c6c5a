//! What is declared here, told as data, so that a C compiler can check it.

/// What one of the SDK's headers must say.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Its name, as `#include` wants it.
    pub file: &'static str,
    /// Structs and unions.
    pub types: &'static [Type],
    /// Names of constants, and their values.
    pub constants: &'static [(&'static str, i64)],
}

/// A struct or a union.
#[derive(Clone, Copy, Debug)]
pub struct Type {
    /// Its name in C.
    pub name: &'static str,
    /// Its size in bytes; `None` for the beginning of a struct, of which the rest is not declared here.
    pub size: Option<usize>,
    /// Its fields.
    pub fields: &'static [Field],
}

/// A field of a struct or a union.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name. Where it is a word of Rust's, `r#` stands in front of it.
    pub name: &'static str,
    /// Where it begins, in bytes.
    pub offset: usize,
    /// Its size in bytes.
    pub size: usize,
}

/// The size of a field, without a value of its struct.
pub const fn size_of_field<S, F>(_: fn(&S) -> &F) -> usize {
    size_of::<F>()
}

/// Declares a struct or a union of C, with its fields public, and `LAYOUT`, which says how it lies in memory.
macro_rules! c_type {
    ($(#[$doc:meta])* struct $name:ident = $c:literal $($rest:tt)*) => {
        crate::layout::c_type!(@ struct, Some(size_of::<Self>()), [$(#[$doc])*] $name = $c $($rest)*);
    };
    ($(#[$doc:meta])* beginning $name:ident = $c:literal $($rest:tt)*) => {
        crate::layout::c_type!(@ struct, None, [$(#[$doc])*] $name = $c $($rest)*);
    };
    (@ struct, $size:expr, [$(#[$doc:meta])*] $name:ident = $c:literal
     { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            /// How it lies in memory.
            pub const LAYOUT: crate::layout::Type = crate::layout::Type {
                name: $c,
                size: $size,
                fields: &[$(crate::layout::Field {
                    name: stringify!($field),
                    offset: core::mem::offset_of!($name, $field),
                    size: crate::layout::size_of_field::<$name, $type>(|s| &s.$field),
                },)*],
            };
        }
    };
    ($(#[$doc:meta])* union $name:ident = $c:literal
     { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        #[repr(C)]
        pub union $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            /// How it lies in memory.
            pub const LAYOUT: crate::layout::Type = crate::layout::Type {
                name: $c,
                size: Some(size_of::<Self>()),
                fields: &[$(crate::layout::Field {
                    name: stringify!($field),
                    offset: core::mem::offset_of!($name, $field),
                    size: size_of::<$type>(),
                },)*],
            };
        }
    };
}

/// Declares constants under their names in C, and `CONSTANTS`, which lists them.
macro_rules! constants {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: $type = $value;)*

        /// All of them, with their values.
        const CONSTANTS: &[(&str, i64)] = &[$((stringify!($name), $name as i64),)*];
    };
}

pub(crate) use {c_type, constants};
