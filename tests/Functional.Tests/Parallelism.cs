// Collectors and guests wait for each other's seconds far more than they compute: three times as many classes at once as a small machine has cores.
[assembly: CollectionBehavior(MaxParallelThreads = 6)]
