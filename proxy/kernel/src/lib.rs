//! Fairlead: proxy/kernel.
