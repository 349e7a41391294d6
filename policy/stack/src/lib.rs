//! Fairlead: policy/stack.
