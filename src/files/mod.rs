//! Files as both applications keep them: names that cannot escape, durable writes, uploads, zips.
