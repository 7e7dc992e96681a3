//! What holds of every State, whatever was applied.
