//! Fairlead: proxy/canon.
