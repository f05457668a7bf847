"""What students are told by mail: each fact once, noted with what causes it, sent by a worker."""
