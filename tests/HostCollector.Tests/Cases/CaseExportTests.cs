using System.Diagnostics;
using VsockPair.Cases;
using VsockPair.Commands;

namespace VsockPair.HostCollector.Tests.Cases;

public sealed class CaseExportTests : IDisposable
{
    private readonly SampleCase _sample = SampleCase.WithAll();

    private string Archive => Path.Combine(_sample.Store.Root, "x.tar.zst");

    [Fact]
    public async Task Archive_is_what_tar_and_zstd_take_apart_without_the_memory()
    {
        AddMemory();
        _sample.Assemble(final: true);
        (int exitCode, _, string error) = await ExportAsync();
        Assert.True(exitCode == ExitCode.Done, error);
        Assert.Contains("without the guest's memory (--memory adds it)", error, StringComparison.Ordinal);
        Run("zstd", "-tq", Archive);
        string folder = Directory.CreateDirectory(Path.Combine(_sample.Store.Root, "unpacked")).FullName;
        Run("tar", "--zstd", "-xf", Archive, "-C", folder);
        string[] expected = [CasePaths.ManifestName, CasePaths.EventName, .. _sample.Manifest.Parts.Select(p => p.Path).Where(p => p != CasePaths.Vmcore)];
        string unpacked = Path.Combine(folder, _sample.Id);
        Assert.Equal(expected.Order(StringComparer.Ordinal), Directory.GetFiles(unpacked, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(unpacked, f)).Order(StringComparer.Ordinal));
        Assert.All(expected, name => Assert.Equal(File.ReadAllBytes(Path.Combine(_sample.Folder, name)), File.ReadAllBytes(Path.Combine(unpacked, name))));
        Assert.Equal(CaseFile.Mode, File.GetUnixFileMode(Path.Combine(unpacked, CasePaths.Kmsg)));
    }

    [Fact]
    public async Task Memory_comes_when_it_is_asked_for()
    {
        AddMemory();
        _sample.Assemble(final: true);
        Assert.Equal(ExitCode.Done, (await ExportAsync("--memory")).ExitCode);
        Assert.Contains($"{_sample.Id}/vmcore\n", Run("tar", "--zstd", "-tf", Archive), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Memory_that_is_not_there_cannot_be_asked_for()
    {
        _sample.Assemble(final: true);
        (int exitCode, _, string error) = await ExportAsync("--memory");
        Assert.Equal(ExitCode.NothingFound, exitCode);
        Assert.Contains("has no memory", error, StringComparison.Ordinal);
        Assert.False(File.Exists(Archive));
    }

    [Fact]
    public async Task The_same_case_is_the_same_archive()
    {
        _sample.Assemble(final: true);
        await ExportAsync();
        byte[] first = File.ReadAllBytes(Archive);
        await Task.Delay(1100);
        await ExportAsync();
        Assert.Equal(first, File.ReadAllBytes(Archive));
    }

    [Fact]
    public async Task An_open_case_is_exported_with_a_remark_and_one_without_a_manifest_is_not()
    {
        (int exitCode, _, string error) = await ExportAsync();
        Assert.Equal(ExitCode.Failed, exitCode);
        Assert.Contains($"vsockpair assemble {_sample.Id}", error, StringComparison.Ordinal);
        _sample.Assemble();
        (exitCode, _, error) = await ExportAsync();
        Assert.Equal(ExitCode.Done, exitCode);
        Assert.Contains("is still open", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_part_that_was_changed_is_named()
    {
        _sample.Assemble(final: true);
        File.AppendAllText(Path.Combine(_sample.Folder, CasePaths.Kmsg), "more");
        (int exitCode, _, string error) = await ExportAsync();
        Assert.Equal(ExitCode.Failed, exitCode);
        Assert.Contains("kmsg.txt is not what manifest.json says", error, StringComparison.Ordinal);
        Assert.True(File.Exists(Archive));
    }

    [Fact]
    public async Task Its_trace_comes_out_of_the_case_and_in_other_formats_out_of_the_store()
    {
        _sample.Assemble(final: true);
        string dat = Path.Combine(_sample.Store.Root, "x.dat");
        Assert.Equal(ExitCode.Done, (await _sample.Store.RunAsync("export", _sample.Id, "-o", dat)).ExitCode);
        Assert.Equal(File.ReadAllBytes(Path.Combine(_sample.Folder, CasePaths.Trace)), File.ReadAllBytes(dat));
        string text = Path.Combine(_sample.Store.Root, "x.txt");
        (int exitCode, _, string error) = await _sample.Store.RunAsync("export", _sample.Id, "-o", text, "--cpu", "1");
        Assert.True(exitCode == ExitCode.Done, error);
        Assert.Equal(201, File.ReadAllLines(text).Length);
        Directory.Delete(_sample.Store.Guest, recursive: true);
        (exitCode, _, error) = await _sample.Store.RunAsync("export", _sample.Id, "-o", text);
        Assert.Equal(ExitCode.NothingFound, exitCode);
        Assert.Contains("the case has its own: -o FILE.dat", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_guest_is_no_archive()
    {
        (int exitCode, _, string error) = await _sample.Store.RunAsync("export", "web1", "-o", Archive);
        Assert.Equal(ExitCode.Usage, exitCode);
        Assert.Contains("are for a case", error, StringComparison.Ordinal);
    }

    public void Dispose() => _sample.Dispose();

    private void AddMemory()
    {
        File.WriteAllBytes(Path.Combine(_sample.Folder, CasePaths.Vmcore), new byte[100_000]);
        _sample.WriteEvent(_sample.Event with { Memory = new CaseMemory("full", MemoryTaken.Full, "elf", null, 1.5) });
    }

    private Task<(int ExitCode, string Output, string Error)> ExportAsync(params string[] options) => _sample.Store.RunAsync(["export", _sample.Id, "-o", Archive, .. options]);

    private static string Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        return output;
    }
}
