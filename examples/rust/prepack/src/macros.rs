//! What the modules share: C's structs with their size, texts, arrays, and two macros for enums and settings.
use crate::error::{Error, ErrorKind, Result};
use std::ffi::{CStr, CString};
use std::os::raw::c_char;
use std::path::Path;

/// A struct of C's, all zero but for its size.
macro_rules! sized {
    ($type:ty) => {{
        // All structs of C's are numbers, pointers that may be NULL and Options of functions.
        let mut value: $type = unsafe { std::mem::zeroed() };
        value.struct_size = std::mem::size_of::<$type>() as u32;
        value
    }};
}

/// An enum whose values are constants of C's.
macro_rules! c_enum {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$item_doc:meta])* $item:ident = $value:ident,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum $name {
            $($(#[$item_doc])* $item = $crate::sys::$value,)*
        }

        #[allow(dead_code)]
        impl $name {
            pub(crate) fn from_raw(value: i32) -> $crate::Result<Self> {
                match value {
                    $($crate::sys::$value => Ok(Self::$item),)*
                    _ => Err($crate::Error::newer(stringify!($name), value)),
                }
            }

            pub(crate) fn raw(self) -> i32 {
                self as i32
            }
        }
    };
}

/// Settings: a struct that is made by Default and a method for each field but the hidden ones.
macro_rules! params {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    } $(hidden { $($hidden:ident: $hidden_type:ty,)* })?) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name {
            $(pub(crate) $field: $type,)*
            $($($hidden: $hidden_type,)*)?
        }

        impl $name {
            $($(#[$field_doc])*
            #[must_use]
            pub fn $field(mut self, $field: impl Into<$type>) -> Self {
                self.$field = $field.into();
                self
            })*
        }
    };
}

/// A text that C never frees.
///
/// # Safety
/// `text` is a text of the library that is never freed.
pub(crate) unsafe fn static_text(text: *const c_char) -> &'static str {
    CStr::from_ptr(text).to_str().unwrap_or("?")
}

/// The text in an array of C's, up to its NUL.
pub(crate) fn array_text(array: &[c_char]) -> String {
    let bytes: Vec<u8> = array
        .iter()
        .take_while(|&&c| c != 0)
        .map(|&c| c as u8)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Puts a text and its NUL into an array of C's.
pub(crate) fn put_text(array: &mut [c_char], what: &str, text: &str) -> Result<()> {
    if text.len() >= array.len() || text.contains('\0') {
        return Err(Error::new(
            ErrorKind::Argument,
            format!(
                "{what} has {} bytes; allowed: at most {}, none of them NUL",
                text.len(),
                array.len() - 1
            ),
        ));
    }
    for (to, &from) in array.iter_mut().zip(text.as_bytes()) {
        *to = from as c_char;
    }
    Ok(())
}

/// A text for C, which ends at its first NUL and so may have none.
pub(crate) fn c_text(what: &str, text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| {
        Error::new(
            ErrorKind::Argument,
            format!("{what} {text:?} has a NUL byte inside"),
        )
    })
}

/// A path for C, which takes UTF-8.
pub(crate) fn c_path(path: &Path) -> Result<CString> {
    match path.to_str() {
        Some(text) => c_text("the path", text),
        None => Err(Error::new(
            ErrorKind::Argument,
            format!("the path {} is not UTF-8", path.display()),
        )),
    }
}

/// Room for n results; an error where there is no memory for it.
pub(crate) fn room<T: Clone>(n: usize, value: T) -> Result<Vec<T>> {
    let mut all = Vec::new();
    all.try_reserve_exact(n).map_err(|_| {
        Error::new(
            ErrorKind::OutOfMemory,
            format!(
                "no memory for {n} results of {} bytes",
                std::mem::size_of::<T>()
            ),
        )
    })?;
    all.resize(n, value);
    Ok(all)
}

/// An array of C's as a slice; NULL is one without elements.
///
/// # Safety
/// `data` is NULL or points to `n` elements that stay as they are for `'a`.
pub(crate) unsafe fn slice<'a, T>(data: *const T, n: i64) -> &'a [T] {
    if data.is_null() || n <= 0 {
        return &[];
    }
    std::slice::from_raw_parts(data, n as usize)
}

/// What a call writes that tells the size first.
pub(crate) fn text_of(
    mut write: impl FnMut(*mut c_char, usize, *mut usize, *mut crate::sys::pp_error) -> i32,
) -> Result<String> {
    let mut size = 0;
    crate::error::call(|err| write(std::ptr::null_mut(), 0, &mut size, err))?;
    let mut text = room(size + 1, 0u8)?; // the NUL
    let start = text.as_mut_ptr().cast();
    crate::error::call(|err| write(start, size + 1, &mut size, err))?;
    text.truncate(size);
    String::from_utf8(text).map_err(|_| Error::new(ErrorKind::Internal, "a text is not UTF-8"))
}
