using System.Diagnostics;
using VsockPair.Cases;
using VsockPair.Functional.Tests.Collector;
using VsockPair.Options;

namespace VsockPair.Functional.Tests.Cases;

public sealed class CaseDiskFullTests : IDisposable
{
    private readonly CaseStore _store = new(records: 20_000);
    private bool _mounted;

    [RootFact]
    public void A_case_that_does_not_fit_says_so_and_is_whole_once_there_is_room()
    {
        // Its log alone takes 3 MB; the manifest's room is taken first.
        Mount("1m");
        CaseManifest manifest = Assemble();
        Assert.Equal("the disk is full", manifest.Missing.Single(m => m.Part == CasePaths.Kmsg).Reason);
        Assert.Equal(manifest.Parts, _store.Manifest!.Parts);
        Assert.False(File.Exists(Path.Combine(_store.Case, CasePaths.Kmsg)));
        Assert.Empty(Directory.GetFiles(_store.Case, "*.partial", SearchOption.AllDirectories));
        Assert.Contains(manifest.Parts, p => p.Path == CasePaths.ReadMe);
        _store.AssertConsistent();

        Run("mount", "-o", "remount,size=16m", _store.Case);
        Assert.Contains(Assemble().Parts, p => p.Path == CasePaths.Kmsg);
        _store.AssertConsistent();
    }

    [RootFact]
    public void What_was_there_stays_when_there_is_no_room_for_it_to_be_made_anew()
    {
        Mount("4m");
        CaseManifest before = Assemble();
        using (FileStream filler = new(Path.Combine(_store.Case, "filler"), FileMode.Create))
        {
            filler.Write(new byte[500_000]);
        }
        CaseManifest after = Assemble();
        Assert.Equal(before.Parts.Single(p => p.Path == CasePaths.Kmsg).Sha256, after.Parts.Single(p => p.Path == CasePaths.Kmsg).Sha256);
        Assert.Contains("it could not be made anew: the disk is full", after.Missing.Single(m => m.Part == CasePaths.Kmsg).Reason, StringComparison.Ordinal);
        _store.AssertConsistent();
    }

    public void Dispose()
    {
        if (_mounted)
        {
            Run("umount", "--lazy", _store.Case);
        }
        _store.Dispose();
    }

    private CaseManifest Assemble() => CaseAssembly.Run(
        new CaseSource(_store.Folder, _store.Case, _store.Event, new CaseLimits(), TimeProvider.System, TextWriter.Null), final: false, new VmlinuxSearch(_store.Folder, new WatchOptions()));

    private void Mount(string size)
    {
        Run("mount", "-t", "tmpfs", "-o", $"size={size}", "tmpfs", _store.Case);
        _mounted = true;
        _store.WriteEvent(_store.Event);
    }

    private static void Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
