//! Types of elements.
use crate::sys;
use std::fmt;

c_enum! {
    /// The type of an element.
    #[derive(Default)]
    DType {
        /// Let the library choose.
        #[default]
        Auto = PP_DTYPE_AUTO,
        /// 32-bit floating point.
        F32 = PP_DTYPE_F32,
        /// IEEE 754 half precision.
        F16 = PP_DTYPE_F16,
        /// The upper half of an f32.
        Bf16 = PP_DTYPE_BF16,
        /// One byte, 0 or 1.
        Bool = PP_DTYPE_BOOL,
    }
}

impl DType {
    /// Bytes of one element, 0 for [`DType::Auto`].
    pub fn size(self) -> usize {
        unsafe { sys::pp_dtype_size(self.raw()) }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(unsafe { crate::macros::static_text(sys::pp_dtype_name(self.raw())) })
    }
}
