//! Setters of options.

/// Makes `with_*` methods, which set one option each: of the type given, or of what converts to it.
macro_rules! setters {
    ($loss:ty { $($setter:ident($option:ident: $type:ty)),* $(; $($set_some:ident($some:ident: $inner:ty)),*)? }) => {
        impl $loss {
            $(
                #[doc = concat!("The same with another [`", stringify!($option), "`](Self::", stringify!($option), ").")]
                #[must_use]
                pub fn $setter(mut self, $option: $type) -> Self {
                    self.$option = $option;
                    self
                }
            )*
            $($(
                #[doc = concat!("The same with another [`", stringify!($some), "`](Self::", stringify!($some), ").")]
                #[must_use]
                pub fn $set_some(mut self, $some: impl Into<$inner>) -> Self {
                    self.$some = Some($some.into());
                    self
                }
            )*)?
        }
    };
}

pub(crate) use setters;
