//! Fairlead: proxy/delivery.
