//! Fairlead: proxy/ports.
