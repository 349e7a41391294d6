//! Fairlead: proxy/edge.
