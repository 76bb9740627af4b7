//! Reading and writing what other projects write: pipeline folders of diffusers.
