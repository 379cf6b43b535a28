//! What was acknowledged is on disk, whatever happens to the process and to the disk's room.

mod budget;
mod full_disk;
mod kill_nine;
