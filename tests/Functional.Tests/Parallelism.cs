// Collectors and guests wait for each other's seconds far more than they compute: twice as many classes at once as a small machine has cores.
[assembly: CollectionBehavior(MaxParallelThreads = 4)]
