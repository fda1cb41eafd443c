//! The rules of choosing, as tables and properties.
