Console.WriteLine("vsockpair 0.1.0");
