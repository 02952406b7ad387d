using System.Runtime.CompilerServices;

namespace VsockPair.GuestAgent.Tests;

/// <summary>Tests block pool threads while the collector of another needs one; on two cores the pool would grow by two a second only.</summary>
internal static class EnoughThreads
{
#pragma warning disable CA2255 // The tests have no Main of their own.
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void Provide() => Assert.True(ThreadPool.SetMinThreads(16, 16));
}
