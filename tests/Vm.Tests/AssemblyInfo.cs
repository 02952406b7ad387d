// Guests share few CPUs: one test at a time keeps their clocks honest.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
