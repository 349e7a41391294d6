//! What crosses two rooms.
