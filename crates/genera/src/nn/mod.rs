//! Networks. They know no loss and no probability.
