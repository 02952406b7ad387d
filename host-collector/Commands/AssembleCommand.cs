using VsockPair.Cases;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary>
/// <c>vsockpair assemble ID</c>: the child in which <c>watch</c> has a case made. It reads what guests sent and what lay in their memory, so before it reads any of it,
/// it gives up what it does not need.
/// </summary>
internal static class AssembleCommand
{
    public static int Run(CommandContext context, string wanted, bool final)
    {
        foreach (string fault in ChildRestraint.Apply())
        {
            context.Error.WriteLine($"{fault}; ignoring");
        }
        StoredCase found = StoredCase.Find(context.Store, wanted);
        CaseSource source = new(context.Store, found.Folder, found.Event with { Id = found.Id }, new CaseLimits(), context.Time, context.Error);
        CaseManifest manifest = CaseAssembly.Run(source, final, new VmlinuxSearch(context.Store, context.Watch));
        context.Output.WriteLine($"{found.Id}: {manifest.Parts.Count} parts, {manifest.Missing.Count} missing, {(manifest.Closed is null ? "open" : "closed")}");
        foreach (MissingPart missing in manifest.Missing)
        {
            context.Output.WriteLine($"missing {missing.Part}: {TerminalText.Escape(missing.Reason)}");
        }
        return ExitCode.Done;
    }
}
