//! Fairlead: policy/authn.
