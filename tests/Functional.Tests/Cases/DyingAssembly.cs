using System.Diagnostics;
using VsockPair.Cases;
using VsockPair.Functional.Tests.Collector;
using VsockPair.Options;

namespace VsockPair.Functional.Tests.Cases;

/// <summary>This assembly as a program that assembles a case and kills itself, with SIGKILL, at a point of that.</summary>
internal static class DyingAssembly
{
    public const string Command = "assemble";

    public static int Run(string store, string id, string point)
    {
        StoredCase stored = StoredCase.Find(store, id);
        CaseAssembly.Run(new CaseSource(store, stored.Folder, stored.Event, new CaseLimits(), TimeProvider.System, TextWriter.Null), final: true, new VmlinuxSearch(store, new WatchOptions()), reached =>
        {
            if (reached == point)
            {
                Process.GetCurrentProcess().Kill();
                Thread.Sleep(Timeout.Infinite);
            }
        });
        return 0;
    }

    /// <returns>Whether it died there, and was not done before.</returns>
    public static bool Start(CaseStore store, string point)
    {
        using CollectorProcess process = new("dotnet", typeof(DyingAssembly).Assembly.Location, Command, store.Folder, store.Id, point);
        return process.AwaitExit() != 0;
    }
}
