//! Fairlead: proxy/topology.
