using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using VsockPair.Linux;
using VsockPair.TestKit;

namespace VsockPair.Shared.Tests;

/// <summary>
/// The numbers and layouts of shared/Linux are those of the headers that its comments name: a C program made from them is compiled and run.
/// What is compared comes from reflection, so nothing that is added can be forgotten here.
/// </summary>
public sealed partial class LayoutTests : IDisposable
{
    /// <summary>C# struct and its fields, in C.</summary>
    private static readonly Dictionary<Type, (string Header, string Name, Dictionary<string, string> Fields)> Structs = new()
    {
        [typeof(SockaddrVm)] = ("linux/vm_sockets.h", "struct sockaddr_vm", new()
        {
            ["Family"] = "svm_family", ["Reserved"] = "svm_reserved1", ["Port"] = "svm_port", ["Cid"] = "svm_cid", ["FlagsAndZero"] = "svm_flags",
        }),
        [typeof(SockaddrUn)] = ("sys/un.h", "struct sockaddr_un", new() { ["Family"] = "sun_family", ["Path"] = "sun_path" }),
        [typeof(PollFd)] = ("poll.h", "struct pollfd", new() { ["Fd"] = "fd", ["Events"] = "events", ["Revents"] = "revents" }),
        [typeof(Timespec)] = ("time.h", "struct timespec", new() { ["Seconds"] = "tv_sec", ["Nanoseconds"] = "tv_nsec" }),
        [typeof(Rlimit)] = ("sys/resource.h", "struct rlimit", new() { ["Current"] = "rlim_cur", ["Maximum"] = "rlim_max" }),
        [typeof(Timeval)] = ("sys/time.h", "struct timeval", new() { ["Seconds"] = "tv_sec", ["Microseconds"] = "tv_usec" }),
    };

    private readonly string _folder = Directory.CreateTempSubdirectory("vsockpair-layout-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Constants_are_those_of_the_headers_named_above_them()
    {
        Dictionary<string, string[]> groups = ReadConstantGroups();
        Assert.Equal(NumbersOf(typeof(Constants)).Keys.Order(), groups.Values.SelectMany(names => names).Order());
        foreach ((string headers, string[] names) in groups)
        {
            Compare(headers.Split(", "), names, NumbersOf(typeof(Constants)));
        }
    }

    [Fact]
    public void Error_numbers_are_those_of_the_kernels_header()
    {
        Dictionary<string, long> numbers = NumbersOf(typeof(Errno));
        Compare(["asm-generic/errno.h"], numbers.Keys, numbers);
    }

    [Fact]
    public void Described_errors_show_their_own_name_and_number()
    {
        foreach ((string name, long number) in NumbersOf(typeof(Errno)).Where(e => Errno.Describe((int)e.Value) != $"errno {e.Value}"))
        {
            Assert.StartsWith($"{name} ({number}), ", Errno.Describe((int)number), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Structs_lie_in_memory_as_in_C()
    {
        Dictionary<string, (string Expression, string[] Headers)> questions = [];
        Dictionary<string, long> own = [];
        foreach ((Type type, (string header, string name, Dictionary<string, string> fields)) in Structs)
        {
            string[] headers = ["sys/socket.h", header, "stddef.h"];
            Ask($"sizeof {type.Name}", $"sizeof({name})", headers, Marshal.SizeOf(type));
            FieldInfo[] ownFields = type.GetFields(BindingFlags.Public | BindingFlags.Instance);
            Assert.Equal(ownFields.Select(f => f.Name).Order(), fields.Keys.Order());
            for (int i = 0; i < ownFields.Length; i++)
            {
                string field = ownFields[i].Name;
                long offset = (long)Marshal.OffsetOf(type, field);
                Ask($"offsetof {type.Name}.{field}", $"offsetof({name}, {fields[field]})", headers, offset);
                // The last field may stand for several of C's (FlagsAndZero), so only the others' sizes are compared by where the next one begins.
                if (i + 1 < ownFields.Length)
                {
                    long next = (long)Marshal.OffsetOf(type, ownFields[i + 1].Name);
                    Ask($"end of {type.Name}.{field}", $"offsetof({name}, {fields[field]}) + sizeof((({name} *)0)->{fields[field]})", headers, next);
                }
            }
        }
        Compare(questions, own);

        void Ask(string name, string expression, string[] headers, long value)
        {
            questions[name] = (expression, headers);
            own[name] = value;
        }
    }

    [Fact]
    public void Every_struct_for_the_kernel_is_compared()
    {
        IEnumerable<Type> declared = typeof(SockaddrVm).Assembly.GetTypes().Where(t =>
            t is { IsValueType: true, IsEnum: false, IsNested: false, Namespace: "VsockPair.Linux" } && t != typeof(VsockAddress));
        Assert.Equal(declared.Select(t => t.Name).Order(), Structs.Keys.Select(t => t.Name).Order());
        Assert.Equal(SockaddrUn.PathBytes, Marshal.SizeOf<SockaddrUn>() - sizeof(ushort));
    }

    /// <summary>Headers → constants, from the comments of Constants.cs.</summary>
    private static Dictionary<string, string[]> ReadConstantGroups()
    {
        Dictionary<string, List<string>> groups = [];
        List<string>? group = null;
        foreach (string line in File.ReadLines(Path.Combine(Repository.Root, "shared/Linux/Constants.cs")))
        {
            if (HeaderComment().Match(line) is { Success: true } header)
            {
                groups[header.Groups[1].Value] = group = [];
            }
            else if (ConstantLine().Match(line) is { Success: true } constant)
            {
                Assert.True(group is not null, $"{constant.Groups[1].Value} stands below no comment that names its header");
                group.Add(constant.Groups[1].Value);
            }
        }
        return groups.ToDictionary(g => g.Key, g => g.Value.ToArray());
    }

    private static Dictionary<string, long> NumbersOf(Type type) =>
        type.GetFields(BindingFlags.Public | BindingFlags.Static).Where(f => f.IsLiteral)
            .ToDictionary(f => f.Name, f => Convert.ToInt64(f.GetRawConstantValue(), CultureInfo.InvariantCulture));

    private void Compare(string[] headers, IEnumerable<string> names, Dictionary<string, long> own) =>
        Compare(names.ToDictionary(n => n, n => (n, headers)), own);

    private void Compare(Dictionary<string, (string Expression, string[] Headers)> questions, Dictionary<string, long> own)
    {
        Dictionary<string, long> real = AskCompiler(questions);
        Assert.Equal(questions.Count, real.Count);
        string[] wrong = [.. real.Where(r => own[r.Key] != r.Value)
            .Select(r => $"{r.Key} is {own[r.Key]} here and {r.Value} in <{string.Join(">, <", questions[r.Key].Headers)}>")];
        Assert.True(wrong.Length == 0, string.Join('\n', wrong));
    }

    private Dictionary<string, long> AskCompiler(Dictionary<string, (string Expression, string[] Headers)> questions)
    {
        StringBuilder program = new("#define _GNU_SOURCE\n#include <stdio.h>\n");
        foreach (string header in questions.Values.SelectMany(q => q.Headers).Distinct())
        {
            program.Append(CultureInfo.InvariantCulture, $"#include <{header}>\n");
        }
        program.Append("int main(void)\n{\n");
        foreach ((string name, (string expression, _)) in questions)
        {
            program.Append(CultureInfo.InvariantCulture, $"    printf(\"%s=%lld\\n\", \"{name}\", (long long)({expression}));\n");
        }
        program.Append("    return 0;\n}\n");
        string source = Path.Combine(_folder, "numbers.c");
        string binary = Path.Combine(_folder, "numbers");
        File.WriteAllText(source, program.ToString());
        Run("gcc", "-Wall", "-o", binary, source);
        return Run(binary).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split('='))
            .ToDictionary(p => p[0], p => long.Parse(p[1], CultureInfo.InvariantCulture));
    }

    private static string Run(string program, params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            Task<string> error = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}:\n{error.Result}");
            return output;
        }
        catch (Win32Exception e)
        {
            Assert.Fail($"{program} cannot be run ({e.Message}): packaging/install-build-tools.sh installs it.");
            throw;
        }
    }

    [GeneratedRegex(@"^ +// ([a-z_/-]+\.h(, [a-z_/-]+\.h)*)$")]
    private static partial Regex HeaderComment();

    [GeneratedRegex(@"^ +public const \w+ (\w+) =")]
    private static partial Regex ConstantLine();
}
